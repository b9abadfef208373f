//! The place where it happens: a network namespace with a bridge, and a scratch directory.

use super::Failure;
use nix::sched::{CloneFlags, unshare};
use std::path::{Path, PathBuf};

/// First argument of the process that is one of the hosts.
pub const HOST_ARGUMENT: &str = "--host";

/// Name of the bridge that joins the hosts.
pub const BRIDGE: &str = "lan";

/// Leaves the machine's own network. Without root, in a user namespace. Called before any thread is there.
pub fn enter() -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        unshare(CloneFlags::CLONE_NEWNET)?;
        return Ok(());
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(|e| {
        format!("no user namespace for this user ({e}); run it as root, or allow user namespaces")
    })?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    Ok(())
}

/// One end of a cable: the host's process and the name of the bridge's port.
pub struct Wiring {
    /// Process in the host's namespace.
    pub pid: u32,
    /// Name of the port.
    pub port: String,
}

/// Makes the bridge and a cable to each host, whose end is called eth0 there.
pub fn wire(hosts: &[Wiring]) -> Result<(), Failure> {
    run(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let task = tokio::spawn(connection);
        handle
            .link()
            .add(rtnetlink::LinkBridge::new(BRIDGE).up().build())
            .execute()
            .await?;
        let bridge = super::host::index_of(&handle, BRIDGE).await?;
        for host in hosts {
            let far = format!("{}e", host.port);
            handle
                .link()
                .add(rtnetlink::LinkVeth::new(&host.port, &far).build())
                .execute()
                .await?;
            let far = super::host::index_of(&handle, &far).await?;
            let move_it = rtnetlink::LinkUnspec::new_with_index(far)
                .name("eth0".to_owned())
                .setns_by_pid(host.pid)
                .build();
            handle.link().set(move_it).execute().await?;
            let near = super::host::index_of(&handle, &host.port).await?;
            let port = rtnetlink::LinkUnspec::new_with_index(near)
                .controller(bridge)
                .up()
                .build();
            handle.link().set(port).execute().await?;
        }
        task.abort();
        Ok(())
    })
}

/// Runs something that talks netlink.
pub fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// A directory that goes away with its owner.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it.
    pub fn new() -> Result<Scratch, Failure> {
        let directory = std::env::temp_dir().join(format!("failover-{}", std::process::id()));
        std::fs::create_dir(&directory)?;
        Ok(Scratch(directory))
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
