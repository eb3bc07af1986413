//! Sessions.

use tessera_proto::v1::Session;

use super::{Field, Fields, Record, fields};

impl Record for Session {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "created_at",
        "refreshed_at",
        "expires_at",
        "client_address",
        "user_agent",
        "current",
    ];

    fn fields(&self) -> Fields {
        fields([
            ("id", Field::Number(self.id)),
            ("created_at", Field::time(self.created_at)),
            ("refreshed_at", Field::time(self.refreshed_at)),
            ("expires_at", Field::time(self.expires_at)),
            ("client_address", Field::Text(self.client_address.clone())),
            ("user_agent", Field::Text(self.user_agent.clone())),
            ("current", Field::Flag(self.current)),
        ])
    }
}
