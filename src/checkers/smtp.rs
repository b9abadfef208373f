//! SMTP_CHECK: greeting, HELO, QUIT.

use super::Desk;
use super::connect::{self, ConnectError};
use super::probe::{Attempt, Failure, Probe};
use super::schedule::Turn;
use crate::model::lvs::Connection;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

pub(super) struct Smtp<'a> {
    pub connection: &'a Connection,
    pub helo: &'a str,
}

/// Longest reply, bytes.
const LONGEST: usize = 8192;

impl Smtp<'_> {
    async fn talk(&self) -> Result<(), Result<Failure, String>> {
        let mut stream = connect::tcp(self.connection)
            .await
            .map_err(|error| match &error {
                ConnectError::Socket(error) => Err(error.to_string()),
                ConnectError::Unreachable => Ok(Failure::new(UNREACHABLE, error.to_string())),
                ConnectError::Timeout(_) => {
                    Ok(Failure::new("Connection timeout to server", error.to_string()))
                }
                ConnectError::Failed(_) => Ok(Failure::new("Could not connect to server", error.to_string())),
            })?;
        let limit = self.connection.timeout;
        dialogue(&mut stream, limit, self.helo).await.map_err(Ok)
    }

    fn line(&self, failure: &Failure) -> String {
        let (address, port) = (self.connection.address, self.connection.port);
        let text = &failure.text;
        if text == UNREACHABLE {
            return format!("SMTP_CHECK {text} {address} - real server [{address}]:{port}");
        }
        format!("SMTP_CHECK {text} [{address}]:{port}")
    }
}

/// Speaks with a server over a connection that is already there. Each step is bounded in time and memory.
pub async fn dialogue<S>(stream: &mut S, limit: Duration, helo: &str) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    expect(stream, limit, "220", "Bad greeting banner from server").await?;
    say(stream, limit, &format!("HELO {helo}\r\n")).await?;
    expect(stream, limit, "250", "Bad HELO response from server").await?;
    say(stream, limit, "QUIT\r\n").await?;
    // Any reply is good.
    expect(stream, limit, "", "").await
}

const UNREACHABLE: &str = "Network unreachable for server";

async fn say(stream: &mut (impl AsyncWrite + Unpin), limit: Duration, text: &str) -> Result<(), Failure> {
    match timeout(limit, stream.write_all(text.as_bytes())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::new("Write failure to server", error.to_string())),
        Err(_) => Err(Failure::new(
            "Write timeout to server",
            format!("the server takes nothing for {:.3} s", limit.as_secs_f64()),
        )),
    }
}

/// Reads a whole reply, which has several lines where a `-` follows the code.
async fn expect(
    stream: &mut (impl AsyncRead + Unpin),
    limit: Duration,
    code: &str,
    wrong: &str,
) -> Result<(), Failure> {
    let reply = match timeout(limit, reply(stream)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(reason)) => return Err(Failure::new("Read failure from server", reason)),
        Err(_) => {
            let reason = format!("no whole reply within {:.3} s", limit.as_secs_f64());
            return Err(Failure::new("Read timeout from server", reason));
        }
    };
    if reply.starts_with(code.as_bytes()) {
        return Ok(());
    }
    let line = reply.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.get(..line.len().min(80)).unwrap_or_default();
    let line = String::from_utf8_lossy(line).trim_end().to_owned();
    Err(Failure::new(
        wrong,
        format!("the server says '{}'", line.escape_debug()),
    ))
}

async fn reply(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, String> {
    let mut reply = Vec::new();
    let mut buffer = [0; 512];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return Err("the server closed the connection".to_owned()),
            Ok(length) => reply.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(error) => return Err(error.to_string()),
        }
        if complete(&reply) {
            return Ok(reply);
        }
        if reply.len() > LONGEST {
            return Err(format!("the reply is longer than {LONGEST} bytes"));
        }
    }
}

fn complete(reply: &[u8]) -> bool {
    let Some(lines) = reply.strip_suffix(b"\n") else {
        return false;
    };
    let last = lines.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    last.get(3) != Some(&b'-')
}

impl Probe for Smtp<'_> {
    async fn attempt(&mut self, _: &Desk) -> Attempt {
        match self.talk().await {
            Ok(()) => Attempt::Good(None),
            Err(Ok(failure)) => Attempt::Bad(failure),
            Err(Err(why)) => Attempt::Postponed {
                line: Some("SMTP_CHECK connection failed to create socket. Rescheduling."),
                why,
            },
        }
    }

    fn up(&self, desk: &Desk) -> Option<String> {
        Some(format!(
            "Remote SMTP server {} succeed on service.",
            desk.job.real_server
        ))
    }

    fn attempt_failed(&self, _: &Desk, failure: &Failure, turn: Turn) -> Option<String> {
        matches!(turn, Turn::Retry { .. }).then(|| self.line(failure))
    }

    /// It stands in the mail, in keepalived's words.
    fn reason(&self, failure: &Failure) -> String {
        failure.text.clone()
    }

    fn down(&self, _: &Desk, failure: &Failure, _: Option<u32>) -> String {
        self.line(failure)
    }
}
