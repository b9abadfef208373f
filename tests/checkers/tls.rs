use crate::http::{get, url};
use crate::support::*;
use keepalived_rs::checkers::http::tls::Tls;
use keepalived_rs::checkers::{Job, Means};
use keepalived_rs::model::lvs::{CheckerKind, HttpCheck, SslContext};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

/// A certificate of its own authority, made by openssl.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        let files = Files {
            directory: tempfile::tempdir().expect("a directory"),
        };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=checked.example.net", "-keyout"])
            .arg(files.key())
            .arg("-out")
            .arg(files.certificate())
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl").success());
        files
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a name").to_owned()
}

/// A TLS server that answers with the server name that the client indicated.
fn server(files: &Files) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(files.certificate()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(files.key()).expect("a key");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut connection = ServerConnection::new(config.clone()).expect("a connection");
            if connection.complete_io(&mut stream).is_err() {
                continue;
            }
            let name = connection.server_name().unwrap_or("none").to_owned();
            let mut tls = Stream::new(&mut connection, &mut stream);
            let _ = tls.read(&mut [0; 4096]);
            // No close_notify: as many servers do.
            let _ = write!(tls, "HTTP/1.0 200 OK\r\n\r\nname={name}");
        }
    });
    port
}

fn ssl_get(port: u16, change: impl FnOnce(&mut HttpCheck)) -> HttpCheck {
    let mut check = get(port, vec![url("/")]);
    check.tls = true;
    check.connection.timeout = Duration::from_secs(2);
    change(&mut check);
    check
}

fn first(check: HttpCheck, tls: Option<Tls>) -> (String, Vec<String>) {
    let tls = tls.or_else(|| Tls::ready(None));
    let make = |()| {
        let mut checker = checker(CheckerKind::Http(Box::new(check)));
        (checker.retry, checker.log_all_failures) = (0, true);
        Job {
            means: Arc::new(Means {
                tls,
                ..Means::default()
            }),
            ..job(checker)
        }
    };
    with(make, |mut watch| async move {
        let verdict = watch.verdict().await;
        (verdict, watch.lines.all())
    })
}

fn wants(check: &mut HttpCheck, regex: &str) {
    check.urls[0].pattern = Some(keepalived_rs::model::checker::Pattern {
        regex: regex.to_owned(),
        ..Default::default()
    });
}

#[test]
fn the_server_name_is_indicated_when_asked_for() {
    let port = server(&Files::new());
    let named = |enable: bool, sni: Option<&str>, host: Option<&str>, expected: &str| {
        let check = ssl_get(port, |check| {
            check.enable_sni = enable;
            check.sni_name = sni.map(str::to_owned);
            check.urls[0].virtual_host = host.map(str::to_owned);
            check.tls_compliant = enable;
            wants(check, &format!("^name={expected}$"));
        });
        let (verdict, lines) = first(check, None);
        assert_eq!(verdict, "up", "{expected} {lines:?}");
    };
    named(false, None, Some("www.example.net"), "none");
    named(true, None, None, "none");
    named(true, None, Some("www.example.net:443"), "www\\.example\\.net");
    named(
        true,
        Some("sni.example.net"),
        Some("www.example.net"),
        "sni\\.example\\.net",
    );
    named(false, Some("sni.example.net"), None, "sni\\.example\\.net");
}

#[test]
fn a_certificate_is_verified_where_there_is_a_ca() {
    let (files, others) = (Files::new(), Files::new());
    let port = server(&files);
    let verify = |ca: &Files| {
        let tls = Tls::new(&SslContext {
            ca: Some(text(&ca.certificate())),
            ..SslContext::default()
        });
        first(ssl_get(port, |_| ()), Some(tls.expect("a context")))
    };
    assert_eq!(verify(&files).0, "up");
    let (verdict, lines) = verify(&others);
    assert!(
        verdict.starts_with("down: the server's certificate is not good"),
        "{verdict}"
    );
    assert!(lines.contains(&format!("SSL handshake/communication error server {RS}.")));
    assert_eq!(lines.last(), Some(&format!("SSL_CHECK on service {RS} failed.")));
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let files = Files::new();
    let wrong = |context: SslContext| Tls::new(&context).expect_err("a complaint").to_string();
    let certificate = Some(text(&files.certificate()));
    let missing = wrong(SslContext {
        ca: Some("/nowhere/ca.pem".to_owned()),
        ..SslContext::default()
    });
    assert!(missing.starts_with("SSL ca /nowhere/ca.pem: "), "{missing}");
    let key = wrong(SslContext {
        certificate: certificate.clone(),
        key: certificate.clone(),
        ..SslContext::default()
    });
    assert!(key.contains("openssl pkey"), "{key}");
    let good = Tls::new(&SslContext {
        certificate,
        key: Some(text(&files.key())),
        ..SslContext::default()
    });
    assert!(good.is_ok());
}

#[test]
fn what_is_not_tls_is_said() {
    let garbage = crate::http::serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
    });
    // The first bytes of a TLS record are no request that ends: the server answers at once.
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    let plain = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.expect("a connection").write_all(b"220 hello\r\n");
        }
    });
    let check = |port| {
        first(
            ssl_get(port, |c| c.connection.timeout = Duration::from_millis(400)),
            None,
        )
    };
    let (verdict, lines) = check(plain);
    assert!(verdict.contains("does not speak TLS"), "{verdict}");
    assert!(lines.contains(&format!("SSL handshake/communication error server {RS}.")));
    // A plain server that waits for a request.
    let (verdict, lines) = check(garbage);
    assert!(
        verdict.contains("handshake is not complete after 0.400 s"),
        "{verdict}"
    );
    assert!(lines.contains(&format!("Timeout connecting server {RS}.")));
}

#[test]
fn a_reset_in_the_handshake_is_said() {
    // After the client's first message, and in the middle of the server's.
    for said in [&b""[..], b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"] {
        let listener = TcpListener::bind((HERE, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(said);
                // What is there is read before the reset comes.
                std::thread::sleep(Duration::from_millis(50));
                crate::http::reset(&stream);
            }
        });
        let (verdict, lines) = first(ssl_get(port, |_| ()), None);
        assert!(verdict.contains("reset"), "{verdict}");
        assert!(lines.contains(&format!("SSL handshake/communication error server {RS}.")));
    }
}

struct Old(Child);

impl Drop for Old {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_is_too_old_is_said() {
    let files = Files::new();
    let port = {
        let listener = TcpListener::bind((HERE, 0)).expect("a port");
        listener.local_addr().expect("its address").port()
    };
    let server = Command::new("openssl")
        .args([
            "s_server",
            "-tls1",
            "-cipher",
            "DEFAULT@SECLEVEL=0",
            "-www",
            "-quiet",
            "-accept",
        ])
        .arg(format!("127.0.0.1:{port}"))
        .arg("-key")
        .arg(files.key())
        .arg("-cert")
        .arg(files.certificate())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _server = Old(server.expect("openssl"));
    let end = std::time::Instant::now() + LIMIT;
    while std::net::TcpStream::connect((HERE, port)).is_err() {
        assert!(std::time::Instant::now() < end, "a server");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (verdict, lines) = first(ssl_get(port, |_| ()), None);
    assert!(verdict.contains("no common TLS version and cipher"), "{verdict}");
    assert!(lines[0].starts_with(&format!("SSL_GET of {RS}: no common TLS version and cipher")));
    assert_eq!(
        lines[1],
        format!("SSL handshake/communication error server {RS}.")
    );
}
