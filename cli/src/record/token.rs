//! Permanent tokens.

use tessera_proto::v1::PermanentToken;

use super::{Field, Fields, Record, fields, short};

impl Record for PermanentToken {
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "role", "state", "expires_at", "last_used_at"];

    fn fields(&self) -> Fields {
        let state = short(self.state().as_str_name(), "PERMANENT_TOKEN_STATE_");
        fields([
            ("id", Field::Number(self.id)),
            ("name", Field::Text(self.name.clone())),
            ("description", Field::Text(self.description.clone())),
            ("account_id", Field::Number(self.account_id)),
            ("user_id", Field::Number(self.user_id)),
            ("role", Field::Text(self.role.clone())),
            ("audiences", Field::List(self.audiences.clone())),
            ("allowed_cidrs", Field::List(self.allowed_cidrs.clone())),
            ("created_at", Field::time(self.created_at)),
            ("created_by", Field::Number(self.created_by)),
            ("not_before", Field::time(self.not_before)),
            ("expires_at", Field::or_never(self.expires_at)),
            ("revoked_at", Field::time(self.revoked_at)),
            ("last_used_at", Field::or_never(self.last_used_at)),
            ("state", state),
            ("secret_version", Field::Number(self.secret_version.into())),
            ("previous_secret_expires_at", Field::time(self.previous_secret_expires_at)),
            ("reuse_detected_at", Field::time(self.reuse_detected_at)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use tessera_proto::v1::PermanentTokenState;

    use super::*;

    #[test]
    fn json_has_the_contracts_names_with_numbers_times_and_nulls() {
        let token = PermanentToken {
            id: 9_007_199_254_740_991,
            name: "purge".into(),
            audiences: vec!["cdn".into()],
            created_at: Some(Timestamp { seconds: 1_801_310_400, nanos: 120_000_000 }),
            state: PermanentTokenState::NotYetValid.into(),
            secret_version: 2,
            ..PermanentToken::default()
        };
        let json = serde_json::to_value(token.fields()).unwrap();
        assert_eq!(json["id"], 9_007_199_254_740_991_i64);
        assert_eq!(json["audiences"], serde_json::json!(["cdn"]));
        assert_eq!(json["created_at"], "2027-01-30T12:00:00.12Z");
        assert_eq!(json["expires_at"], serde_json::Value::Null);
        assert_eq!(json["state"], "NOT_YET_VALID");
        assert_eq!(json["secret_version"], 2);
        assert_eq!(json.as_object().unwrap().len(), 18);
    }
}
