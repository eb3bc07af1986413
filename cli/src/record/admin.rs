//! Accounts, users, roles and signing keys.

use tessera_proto::v1::{Account, Role, SigningKey, User};

use super::{Field, Fields, Record, fields, short};

impl Record for Account {
    const COLUMNS: &'static [&'static str] = &["id", "name", "disabled", "created_at"];

    fn fields(&self) -> Fields {
        fields([
            ("id", Field::Number(self.id)),
            ("name", Field::Text(self.name.clone())),
            ("disabled", Field::Flag(self.disabled)),
            ("created_at", Field::time(self.created_at)),
        ])
    }
}

impl Record for User {
    const COLUMNS: &'static [&'static str] =
        &["id", "account_id", "username", "role", "disabled", "created_at"];

    fn fields(&self) -> Fields {
        fields([
            ("id", Field::Number(self.id)),
            ("account_id", Field::Number(self.account_id)),
            ("username", Field::Text(self.username.clone())),
            ("role", Field::Text(self.role.clone())),
            ("disabled", Field::Flag(self.disabled)),
            ("created_at", Field::time(self.created_at)),
        ])
    }
}

impl Record for Role {
    const COLUMNS: &'static [&'static str] = &["id", "name", "scopes"];

    fn fields(&self) -> Fields {
        fields([
            ("id", Field::Number(self.id)),
            ("name", Field::Text(self.name.clone())),
            ("scopes", Field::List(self.scopes.clone())),
        ])
    }
}

impl Record for SigningKey {
    const COLUMNS: &'static [&'static str] =
        &["kid", "algorithm", "state", "created_at", "signs_at", "verifies_until"];

    fn fields(&self) -> Fields {
        fields([
            ("kid", Field::Text(self.kid.clone())),
            ("algorithm", Field::Text(self.algorithm.clone())),
            ("state", short(self.state().as_str_name(), "SIGNING_KEY_STATE_")),
            ("created_at", Field::time(self.created_at)),
            ("signs_at", Field::time(self.signs_at)),
            ("retired_at", Field::time(self.retired_at)),
            ("verifies_until", Field::time(self.verifies_until)),
            ("imported", Field::Flag(self.imported)),
            ("public_jwk", Field::Text(self.public_jwk.clone())),
        ])
    }
}
