//! `keepalived-rs watch`: those who follow the changes of state over the control socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// At once; more are turned away.
const MOST: usize = 16;

/// Each takes its lines as fast as they come, or is let go: nothing waits for it.
#[derive(Debug, Default)]
pub(super) struct Watchers(Vec<UnixStream>);

impl Watchers {
    /// Takes one in, and tells it how things are.
    pub(super) fn add(&mut self, mut client: UnixStream, present: &str) {
        self.0.retain_mut(is_there);
        if self.0.len() < MOST && client.set_nonblocking(true).is_ok() && takes(&mut client, present) {
            self.0.push(client);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all of them a line.
    pub(super) fn tell(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.0.retain_mut(|client| takes(client, &line));
    }
}

fn takes(client: &mut UnixStream, text: &str) -> bool {
    client.write_all(text.as_bytes()).is_ok()
}

/// It has nothing to say, and has not closed its end.
fn is_there(client: &mut UnixStream) -> bool {
    matches!(client.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(client: &mut UnixStream) -> String {
        client.set_nonblocking(true).unwrap();
        let mut text = [0; 64];
        match client.read(&mut text) {
            Ok(length) => String::from_utf8_lossy(&text[..length]).into_owned(),
            Err(error) => error.kind().to_string(),
        }
    }

    #[test]
    fn all_are_told() {
        let mut watchers = Watchers::default();
        let mut clients: Vec<UnixStream> = (0..2)
            .map(|_| {
                let (client, server) = UnixStream::pair().unwrap();
                watchers.add(server, "one\n");
                client
            })
            .collect();
        watchers.tell("two");
        for client in &mut clients {
            assert_eq!(read(client), "one\ntwo\n");
        }
        drop(watchers);
        assert_eq!(read(&mut clients[0]), "", "the end");
    }

    #[test]
    fn who_does_not_read_is_let_go() {
        let mut watchers = Watchers::default();
        let (client, server) = UnixStream::pair().unwrap();
        watchers.add(server, "");
        let long = "x".repeat(1000);
        let told = (0..100_000).take_while(|_| {
            watchers.tell(&long);
            !watchers.is_empty()
        });
        assert!(told.count() < 100_000);
        drop(client);
    }

    #[test]
    fn so_many_and_those_who_went_make_room() {
        let mut watchers = Watchers::default();
        let add = |watchers: &mut Watchers| {
            let (client, server) = UnixStream::pair().unwrap();
            watchers.add(server, "here\n");
            client
        };
        let mut clients: Vec<UnixStream> = (0..MOST).map(|_| add(&mut watchers)).collect();
        assert_eq!(read(&mut add(&mut watchers)), "", "turned away");
        clients.pop();
        assert_eq!(read(&mut add(&mut watchers)), "here\n");
    }
}
