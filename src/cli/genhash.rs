//! The command line of genhash.

use super::getopt::{self, Argument, Item, Opt, Problem};
use super::{Invocation, Said};
use crate::model::lvs::HttpProtocol;
use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

/// What genhash is to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genhash {
    /// `-s`.
    pub server: IpAddr,
    /// `-p`.
    pub port: u16,
    /// `-u`.
    pub url: String,
    /// `-S`.
    pub tls: bool,
    /// `-I`.
    pub sni: bool,
    /// `-V`.
    pub virtual_host: Option<String>,
    /// `-v`.
    pub verbose: bool,
    /// `-m`.
    pub mark: u32,
    /// `-P`.
    pub protocol: HttpProtocol,
    /// `-t`.
    pub timeout: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Flag {
    Tls,
    Sni,
    Server,
    Port,
    Url,
    VirtualHost,
    Verbose,
    Help,
    Mark,
    Protocol,
    Timeout,
}

const fn opt(id: Flag, short: u8, long: &'static str, argument: Argument) -> Opt<Flag> {
    Opt {
        id,
        short: Some(short),
        long,
        argument,
    }
}

const OPTIONS: &[Opt<Flag>] = &[
    opt(Flag::Tls, b'S', "use-ssl", Argument::None),
    opt(Flag::Sni, b'I', "use-sni", Argument::None),
    opt(Flag::Server, b's', "server", Argument::Required),
    opt(Flag::Port, b'p', "port", Argument::Required),
    opt(Flag::Url, b'u', "url", Argument::Required),
    opt(Flag::VirtualHost, b'V', "use-virtualhost", Argument::Required),
    opt(Flag::Verbose, b'v', "verbose", Argument::None),
    opt(Flag::Help, b'h', "help", Argument::None),
    opt(Flag::Mark, b'm', "fwmark", Argument::Required),
    opt(Flag::Protocol, b'P', "protocol", Argument::Required),
    opt(Flag::Timeout, b't', "timeout", Argument::Required),
];

const USAGE: &str = "\
Usage: genhash COMMAND [OPTIONS]
Commands:
   -s server-address -p port -u url
   -S -s server-address -p port -u url
   -h

Options:
Either long or short options are allowed.
   --use-ssl         -S       Use SSL connection to remote server.
   --use-sni         -I       Use SNI during SSL handshake (uses virtualhost setting; see -V).
   --server          -s       Use the specified remote server address.
   --port            -p       Use the specified remote server port.
   --url             -u       Use the specified remote server url.
   --use-virtualhost -V       Use the specified virtualhost in GET query.
   --verbose         -v       Use verbose mode output.
   --help            -h       Display this short inlined help screen.
   --fwmark          -m       Use the specified FW mark.
   --protocol        -P       Use the specified HTTP protocol - '1.0', 1.0c', '1.1'.
                                1.0c means 1.0 with 'Connection: close'
   --timeout         -t       Timeout in seconds
";

/// Reads the words after the program's name.
pub(super) fn parse(words: &[OsString]) -> Invocation {
    let (mut server, mut url) = (None, None);
    let mut wanted = Genhash {
        server: IpAddr::from([0; 4]),
        port: 0,
        url: String::new(),
        tls: false,
        sni: false,
        virtual_host: None,
        verbose: false,
        mark: 0,
        protocol: HttpProtocol::V10,
        timeout: Duration::from_secs(5),
    };
    let mut wrong: Vec<String> = Vec::new();
    let mut operands = Vec::new();
    for item in getopt::read(OPTIONS, words) {
        let (flag, value) = match item {
            Item::Option(flag, value) => (flag, value.unwrap_or_default().to_string_lossy().into_owned()),
            Item::Operand(word) => {
                operands.push(word.to_string_lossy().into_owned());
                continue;
            }
            Item::Problem(Problem::Unknown(name)) => {
                wrong.push(format!("Unknown option {name}"));
                continue;
            }
            Item::Problem(Problem::Missing(name)) => {
                wrong.push(format!("Missing parameter for option {name}"));
                continue;
            }
        };
        match flag {
            Flag::Tls => wanted.tls = true,
            Flag::Sni => wanted.sni = true,
            Flag::Verbose => wanted.verbose = true,
            Flag::Help => return usage(String::new(), 0),
            Flag::Url => url = Some(value),
            Flag::VirtualHost => wanted.virtual_host = Some(value),
            Flag::Server => match value.parse() {
                Ok(address) => server = Some(address),
                Err(_) => wrong.push(format!("server should be an IP, not {value}")),
            },
            Flag::Port => match value.parse() {
                Ok(port) if port > 0 => wanted.port = port,
                _ => wrong.push(format!("invalid port number '{value}'")),
            },
            Flag::Mark => match value.parse() {
                Ok(mark) => wanted.mark = mark,
                Err(_) => wrong.push(format!("invalid fwmark '{value}'")),
            },
            Flag::Protocol => match value.as_str() {
                "1.0" => wanted.protocol = HttpProtocol::V10,
                "1.0c" | "1.0C" => wanted.protocol = HttpProtocol::V10Close,
                "1.1" => wanted.protocol = HttpProtocol::V11,
                _ => wrong.push(format!("invalid HTTP protocol version '{value}'")),
            },
            Flag::Timeout => match value.parse() {
                Ok(seconds) if seconds > 0 => wanted.timeout = Duration::from_secs(seconds),
                _ => wrong.push(format!("invalid timeout '{value}'")),
            },
        }
    }
    if !operands.is_empty() {
        wrong.push(format!("Unexpected argument(s): {}", operands.join(" ")));
    }
    let text: String = wrong.iter().map(|line| format!("{line}\n")).collect();
    match (server, url) {
        (Some(server), Some(url)) if wrong.is_empty() && wanted.port != 0 => {
            Invocation::Genhash(Box::new(Genhash {
                server,
                url,
                ..wanted
            }))
        }
        _ => usage(text, 1),
    }
}

fn usage(mut stderr: String, status: i32) -> Invocation {
    stderr.push_str(USAGE);
    Invocation::Exit(
        Said {
            stdout: String::new(),
            stderr,
        },
        status,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Genhash, (String, i32)> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        match parse(&words) {
            Invocation::Genhash(wanted) => Ok(*wanted),
            Invocation::Exit(said, status) => {
                assert!(said.stderr.ends_with(USAGE));
                let text = said.stderr.strip_suffix(USAGE).unwrap_or_default();
                Err((text.trim_end().to_owned(), status))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options() {
        let wanted = read("-S -I -s ::1 -p 443 -u /x -V h -v -m 5 -P 1.0c -t 9").unwrap();
        assert!(wanted.tls && wanted.sni && wanted.verbose);
        assert_eq!(
            (wanted.server, wanted.port, wanted.url.as_str()),
            ("::1".parse().unwrap(), 443, "/x")
        );
        assert_eq!((wanted.virtual_host.as_deref(), wanted.mark), (Some("h"), 5));
        assert_eq!(wanted.protocol, HttpProtocol::V10Close);
        assert_eq!(wanted.timeout, Duration::from_secs(9));
        let long = "--server 192.0.2.1 --port 80 --url / --protocol 1.1 --use-virtualhost=h";
        assert_eq!(read(long).unwrap().protocol, HttpProtocol::V11);
    }

    #[test]
    fn complaints() {
        let table = [
            ("", "", 1),
            ("-h", "", 0),
            ("-s 192.0.2.1 -p 80", "", 1),
            ("-s foo -p 80 -u /", "server should be an IP, not foo", 1),
            ("-s 192.0.2.1 -p 99999 -u /", "invalid port number '99999'", 1),
            (
                "-s 192.0.2.1 -p 80 -u / -P 1.2",
                "invalid HTTP protocol version '1.2'",
                1,
            ),
            (
                "-s 192.0.2.1 -p 80 -u / extra",
                "Unexpected argument(s): extra",
                1,
            ),
            ("-s 192.0.2.1 -p 80 -u / -Z", "Unknown option -Z", 1),
        ];
        for (line, text, status) in table {
            assert_eq!(read(line), Err((text.to_owned(), status)), "{line}");
        }
    }
}
