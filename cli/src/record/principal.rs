//! Principals.

use tessera_proto::v1::Principal;

use super::{Field, Fields, Record, fields, short};

impl Record for Principal {
    const COLUMNS: &'static [&'static str] =
        &["kind", "name", "account_id", "user_id", "role", "expires_at"];

    fn fields(&self) -> Fields {
        fields([
            ("kind", short(self.kind().as_str_name(), "PRINCIPAL_KIND_")),
            ("token_id", Field::Number(self.token_id)),
            ("session_id", Field::Number(self.session_id)),
            ("account_id", Field::Number(self.account_id)),
            ("user_id", Field::Number(self.user_id)),
            ("role", Field::Text(self.role.clone())),
            ("scopes", Field::List(self.scopes.clone())),
            ("audiences", Field::List(self.audiences.clone())),
            ("issued_at", Field::time(self.issued_at)),
            ("expires_at", Field::or_never(self.expires_at)),
            ("name", Field::Text(self.name.clone())),
        ])
    }
}
