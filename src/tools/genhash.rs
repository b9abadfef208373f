//! genhash: the MD5 digest of a page, for `digest` of HTTP_GET and SSL_GET.

use crate::checkers::connect;
use crate::checkers::http::exchange::{ExchangeError, Head, Patience, Question, Reader, ask};
use crate::checkers::http::judge::hex;
use crate::checkers::http::{host, tls::Tls};
use crate::cli::Genhash;
use crate::model::lvs::{Connection, SslContext};
use md5::{Digest, Md5};
use std::io::Write;
use std::time::Instant;

/// Fetches the page and prints its digest. The exit status: 0, or 1 when there is none.
pub fn run(wanted: &Genhash) -> i32 {
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let fetched = match runtime {
        Ok(runtime) => runtime.block_on(fetch(wanted)),
        Err(error) => Err(error.to_string()),
    };
    match fetched {
        Ok(page) => {
            let mut text = page.text;
            let digest = page.digest.finalize();
            if wanted.verbose {
                text.push_str(
                    "\n-----------------------[    HTML hash resulting    ]-----------------------\n",
                );
                text.push_str(&dump(&digest));
                text.push_str(
                    "-----------------------[ HTML hash final resulting ]-----------------------\n",
                );
            }
            text.push_str(&format!("{}\n", hex(&digest)));
            if wanted.verbose {
                let micros = start.elapsed().as_micros();
                text.push_str(&format!(
                    "\nGlobal response time for [{}] = {micros} usecs\n",
                    wanted.url
                ));
            }
            let _ = std::io::stdout().write_all(text.as_bytes());
            0
        }
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

async fn fetch(wanted: &Genhash) -> Result<Page, String> {
    let connection = Connection {
        address: wanted.server,
        port: wanted.port,
        bind_address: None,
        bind_port: None,
        bind_interface: None,
        timeout: wanted.timeout,
        mark: wanted.mark,
    };
    let question = Question {
        path: wanted.url.clone(),
        host: wanted.virtual_host.clone().unwrap_or_else(|| host(&connection)),
        protocol: wanted.protocol,
    };
    // A person waits: a page that takes long is fetched all the same.
    let patience = Patience {
        pause: wanted.timeout,
        whole: wanted.timeout * 60,
    };
    let mut page = Page {
        digest: Md5::new(),
        verbose: wanted.verbose,
        text: String::new(),
    };
    let mut stream = connect::tcp(&connection)
        .await
        .map_err(|error| format!("Connection failed: {error}"))?;
    let asked = if wanted.tls {
        let tls = Tls::new(&SslContext::default()).map_err(|error| error.to_string())?;
        let name = wanted.virtual_host.as_deref().filter(|_| wanted.sni);
        let handshake = tls.connect(stream, wanted.server, name);
        let mut stream = tokio::time::timeout(wanted.timeout, handshake)
            .await
            .unwrap_or_else(|_| Err("timeout".to_owned()))
            .map_err(|error| format!("SSL handshake/communication error: {error}"))?;
        ask(&mut stream, &question, patience, &mut page).await
    } else {
        ask(&mut stream, &question, patience, &mut page).await
    };
    match asked {
        Ok(()) => Ok(page),
        Err(ExchangeError::NoData) => Err("no data received from remote webserver".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

struct Page {
    digest: Md5,
    verbose: bool,
    text: String,
}

impl Reader for Page {
    fn head(&mut self, head: Head) {
        if self.verbose {
            self.text
                .push_str("-----------------------[    HTTP Header Buffer    ]-----------------------\n");
            self.text.push_str(&dump(&head.raw));
            self.text
                .push_str("-----------------------[ HTTP Header Ascii Buffer ]-----------------------\n");
            self.text.push_str(&String::from_utf8_lossy(&head.raw));
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        if self.verbose {
            self.text
                .push_str("\n-----------------------[        HTML Buffer        ]-----------------------\n");
            self.text.push_str(&dump(bytes));
        }
    }

    fn wants_head(&self) -> bool {
        self.verbose
    }
}

/// As genhash prints bytes: offset, hexadecimal in two halves, characters.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let hex = |range: std::ops::Range<usize>| -> String {
            range
                .map(|n| {
                    chunk
                        .get(n)
                        .map_or("   ".to_owned(), |byte| format!("{byte:02x} "))
                })
                .collect()
        };
        let characters: String = (0..16)
            .map(|n| match chunk.get(n) {
                Some(byte @ b' '..=b'~') => char::from(*byte),
                Some(_) => '.',
                None => ' ',
            })
            .collect();
        text.push_str(&format!(
            "{:04}  {}- {}  {characters}\n",
            row * 16,
            hex(0..8),
            hex(8..16)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_genhash_prints_them() {
        assert_eq!(
            dump(b"HTTP/1.0 200 OK\r\nServer"),
            "0000  48 54 54 50 2f 31 2e 30 - 20 32 30 30 20 4f 4b 0d   HTTP/1.0 200 OK.\n\
             0016  0a 53 65 72 76 65 72    -                           .Server         \n"
        );
    }
}
