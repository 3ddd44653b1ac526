//! What the server answers, as the tests look at it: status, problems, receipts, watermarks.

use serde_json::Value;

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How far the log and the index are; exclusive bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    pub durable: u64,
    pub searchable: u64,
    pub sealed: u64,
}

impl Watermarks {
    /// Those of an answer.
    pub fn of(answer: &Value) -> Watermarks {
        let mark = |name: &str| {
            answer["watermarks"][name].as_u64().unwrap_or_else(|| panic!("no watermark {name} in {answer}"))
        };
        Watermarks { durable: mark("durable"), searchable: mark("searchable"), sealed: mark("sealed") }
    }
}

impl Answer {
    /// The same, if it is a 2xx.
    pub fn ok(self) -> Answer {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        self
    }

    /// The same, if it has this status.
    pub fn expect_status(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether its body is one JSON text.
    pub fn is_json(&self) -> bool {
        let kind = self.content_type.split(';').next().unwrap_or_default();
        matches!(kind, "application/json" | "application/problem+json") && !self.body.is_empty()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The receipts of an append.
    pub fn receipts(&self) -> Vec<Receipt> {
        let answer = self.json();
        let list = answer["receipts"].as_array().unwrap_or_else(|| panic!("no receipts in {answer}"));
        list.iter().map(Receipt::of).collect()
    }

    /// The problem (RFC 9457) this answer tells of.
    pub fn problem(&self) -> Problem {
        assert_eq!(self.content_type, "application/problem+json", "{} {}", self.status, self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(problem["code"].is_string(), "{problem}");
        Problem(problem)
    }
}

/// An RFC 9457 problem: `code`, and for faults of events a list `errors` of `{line, pointer, code}`.
#[derive(Debug)]
pub struct Problem(pub Value);

impl Problem {
    /// The stable codes named, the problem's own first.
    pub fn codes(&self) -> Vec<&str> {
        let errors = self.0["errors"].as_array().into_iter().flatten();
        self.0["code"].as_str().into_iter().chain(errors.filter_map(|error| error["code"].as_str())).collect()
    }

    /// The first fault with this code.
    pub fn fault(&self, code: &str) -> &Value {
        let errors = self.0["errors"].as_array().into_iter().flatten();
        errors
            .chain([&self.0])
            .find(|fault| fault["code"] == code)
            .unwrap_or_else(|| panic!("no fault {code} in {}", self.0))
    }
}

/// What the server says of one event that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub id: String,
    pub seq: u64,
    pub hash: String,
    pub duplicate: bool,
}

impl Receipt {
    fn of(json: &Value) -> Receipt {
        Receipt {
            id: json["id"].as_str().expect("id").to_owned(),
            seq: json["seq"].as_u64().expect("seq"),
            hash: json["hash"].as_str().expect("hash").to_owned(),
            duplicate: json["duplicate"].as_bool().expect("duplicate"),
        }
    }
}
