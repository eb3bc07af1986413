//! Ports of loopback that nobody else takes.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    sync::Mutex,
};

/// Below the range from which the kernel takes ports for outgoing connections: a
/// port tried here and let go is not taken by one before its process binds it.
const FIRST: u16 = 20_000;
/// Ports of one block, which one test process has for itself.
const BLOCK: u16 = 100;
const BLOCKS: u16 = 120;

/// The ports left of this process's block, and the locks on all blocks it took: the
/// kernel lets go of them when the process ends, however it ends.
static OWN: Mutex<(Range<u16>, Vec<File>)> = Mutex::new((0..0, Vec::new()));

/// An address of loopback that is free now, and given to no other caller on this machine.
pub fn free() -> SocketAddr {
    let (left, locks) = &mut *OWN.lock().unwrap();
    loop {
        let Some(port) = left.next() else {
            let (block, lock) = own_block();
            *left = block;
            locks.push(lock);
            continue;
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A block that no running test process has, and the lock that says so.
fn own_block() -> (Range<u16>, File) {
    let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap();
    for step in 0..BLOCKS {
        let block = (start + step) % BLOCKS;
        let path = std::env::temp_dir().join(format!("tessera-tests-ports-{block}.lock"));
        // Another user's lock can't be opened; it is taken then.
        let Ok(lock) = File::options().create(true).append(true).open(path) else { continue };
        if lock.try_lock().is_ok() {
            let first = FIRST + block * BLOCK;
            return (first..first + BLOCK, lock);
        }
    }
    panic!("other test processes have all ports from {FIRST}");
}
