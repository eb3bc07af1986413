//! stub
pub(crate) struct AdminApi(pub(crate) std::sync::Arc<crate::core::Core>);
