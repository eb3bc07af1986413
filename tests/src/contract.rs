//! What the contract names.

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// The paths of all RPCs of `tessera.v1`.
pub fn methods() -> Vec<String> {
    let files = FileDescriptorSet::decode(tessera_proto::DESCRIPTORS).unwrap().file;
    let own = files.iter().filter(|file| file.package() == "tessera.v1");
    let services = own.flat_map(|file| &file.service);
    let paths = services.flat_map(|service| {
        let path = |method: &str| format!("/tessera.v1.{}/{method}", service.name());
        service.method.iter().map(move |method| path(method.name()))
    });
    paths.collect()
}
