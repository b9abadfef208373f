use crate::support::*;
use keepalived_rs::model::lvs::CheckerKind;
use std::net::{SocketAddr, TcpListener};

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    listener.local_addr().expect("its address")
}

#[test]
fn a_server_comes_goes_and_comes_back() {
    let address = free_port();
    let listener = TcpListener::bind(address).expect("the port again");
    let checker = checker(CheckerKind::Tcp(to(address.port())));
    watch(checker, |mut watch| async move {
        assert_eq!(watch.verdict().await, "up");
        drop(listener);
        assert_eq!(watch.verdict().await, "down: Connection refused (os error 111)");
        let _listener = TcpListener::bind(address).expect("the port again");
        assert_eq!(watch.verdict().await, "up");
        assert_eq!(
            watch.lines.all(),
            [
                format!("TCP connection to {RS} success."),
                format!("TCP_CHECK on service {RS} failed after 1 retries."),
                format!("TCP connection to {RS} success."),
            ]
        );
    });
}

#[test]
fn a_first_failure_counts_at_once() {
    let mut checker = checker(CheckerKind::Tcp(to(free_port().port())));
    (checker.retry, checker.log_all_failures) = (5, true);
    watch(checker, |mut watch| async move {
        assert!(watch.verdict().await.starts_with("down: "));
        assert_eq!(
            watch.lines.all(),
            [
                format!("TCP connection to {RS} failed."),
                format!("TCP_CHECK on service {RS} failed."),
            ]
        );
        let standing = watch.standing.lock().expect("no panic").clone();
        assert!(!standing.up && standing.has_run);
    });
}

#[test]
fn with_alpha_nothing_is_told_of_the_attempt() {
    let mut checker = checker(CheckerKind::Tcp(to(free_port().port())));
    (checker.alpha, checker.log_all_failures) = (true, true);
    watch(checker, |mut watch| async move {
        assert!(watch.verdict().await.starts_with("down: "));
        assert_eq!(watch.lines.all(), [format!("TCP_CHECK on service {RS} failed.")]);
    });
}

#[test]
fn each_attempt_is_told_when_asked_for() {
    let address = free_port();
    let listener = TcpListener::bind(address).expect("the port again");
    let mut checker = checker(CheckerKind::Tcp(to(address.port())));
    (checker.retry, checker.log_all_failures) = (2, true);
    watch(checker, |mut watch| async move {
        assert_eq!(watch.verdict().await, "up");
        drop(listener);
        assert!(watch.verdict().await.starts_with("down: "));
        let failed = format!("TCP connection to {RS} failed.");
        assert_eq!(
            watch.lines.all()[1..],
            [
                failed.clone(),
                failed.clone(),
                failed,
                format!("TCP_CHECK on service {RS} failed after 2 retries."),
            ]
        );
    });
}

#[test]
fn a_socket_that_cannot_be_bound_says_nothing_about_the_server() {
    let mut to = to(free_port().port());
    to.bind_address = Some([192, 0, 2, 77].into());
    watch(checker(CheckerKind::Tcp(to)), |mut watch| async move {
        watch.line("could not run").await;
        watch.handle.abort();
        assert_eq!(watch.reports.recv().await, None);
        assert_eq!(
            watch.lines.all(),
            [
                "TCP connect fail to create socket. Rescheduling.".to_owned(),
                format!("TCP_CHECK of {RS} could not run: Cannot assign requested address (os error 99)"),
            ]
        );
    });
}

#[test]
fn of_a_network_without_a_route_nothing_is_told_but_the_end() {
    let mut to = to(free_port().port());
    // TCP has no route to it anywhere.
    to.address = [255, 255, 255, 255].into();
    to.timeout = std::time::Duration::from_millis(200);
    let mut checker = checker(CheckerKind::Tcp(to));
    checker.log_all_failures = true;
    watch(checker, |mut watch| async move {
        assert_eq!(watch.verdict().await, "down: network unreachable");
        assert_eq!(watch.lines.all(), [format!("TCP_CHECK on service {RS} failed.")]);
    });
}
