//! The catalogue: the action tree with its labels, and the names that a payload must not carry or not show.
//! It is data (`index-schema/actions.toml`, which a configuration may extend); here is how it is read and asked.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::model::noun;

const BUILTIN: &str = include_str!("../../index-schema/actions.toml");

/// Why an extension of the catalogue is refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not TOML, or not of the form of `index-schema/actions.toml`.
    #[error("the catalogue is not readable")]
    Toml(#[from] toml::de::Error),
    /// Two categories claim a noun.
    #[error("the noun {noun:?} of category {slug:?} already belongs to category {owner:?}")]
    NounTaken {
        /// The noun.
        noun: String,
        /// Who claims it.
        slug: String,
        /// Who has it.
        owner: String,
    },
    /// An action stands in a category that its noun does not belong to.
    #[error("the action {action:?} stands in category {slug:?}, which does not list its noun")]
    ForeignAction {
        /// The action.
        action: String,
        /// Where it stands.
        slug: String,
    },
    /// A new category without a slug or label.
    #[error("category {slug:?} needs a slug and a label")]
    Unnamed {
        /// Its slug.
        slug: String,
    },
}

/// A group of nouns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Its stable name: `contacts`.
    pub slug: String,
    /// What people call it: `Contacts`.
    pub label: String,
    /// The nouns it holds. Its own slug is always one, so that a category and an unknown noun never share a name.
    pub nouns: Vec<String>,
    /// Its known actions, in the order they are shown.
    pub actions: Vec<ActionInfo>,
}

/// What is known of an action.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionInfo {
    /// `contact.deleted`.
    pub name: String,
    /// `Contact deleted`.
    pub label: String,
    /// A sentence for people.
    #[serde(default)]
    pub description: String,
    /// The usual type of its target.
    #[serde(default)]
    pub target_type: String,
}

/// The action tree and the names that payloads must not carry. Read once, asked for every event.
#[derive(Clone, Debug)]
pub struct Catalogue {
    categories: Vec<Category>,
    /// Noun → index in `categories`.
    nouns: HashMap<String, usize>,
    /// Action → (category, action).
    actions: HashMap<String, (usize, usize)>,
    forbidden: HashSet<String>,
    /// Action or noun → further forbidden names.
    forbidden_also: HashMap<String, HashSet<String>>,
    /// Action or noun → names allowed after all.
    forbidden_except: HashMap<String, HashSet<String>>,
    secrets: HashSet<String>,
    /// Which (length, first byte) any listed name has: nearly every key of a payload is settled by one look here.
    shapes: Box<[[bool; 256]; SHAPE_LEN_MAX + 1]>,
}

/// Listed names longer than this all share the last row of `shapes`.
const SHAPE_LEN_MAX: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    category: Vec<FileCategory>,
    #[serde(default)]
    forbidden: FileForbidden,
    #[serde(default)]
    secrets: FileSecrets,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCategory {
    slug: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    nouns: Vec<String>,
    #[serde(default)]
    actions: Vec<ActionInfo>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForbidden {
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    also: HashMap<String, Vec<String>>,
    #[serde(default)]
    except: HashMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSecrets {
    #[serde(default)]
    keys: Vec<String>,
}

/// What becomes of a payload member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Redacted,
    Refused,
}

impl Catalogue {
    /// The catalogue that is compiled in.
    pub fn builtin() -> &'static Catalogue {
        static CATALOGUE: LazyLock<Catalogue> =
            LazyLock::new(|| Catalogue::empty().with(BUILTIN).expect("a test reads the compiled-in catalogue"));
        &CATALOGUE
    }

    /// The compiled-in catalogue and what `toml` adds: categories, nouns and actions of known categories, labels
    /// (those of the extension win), and names.
    ///
    /// # Errors
    /// If the text is not of the form of `index-schema/actions.toml`, or claims a noun of another category.
    pub fn extended(toml: &str) -> Result<Catalogue, CatalogueError> {
        Catalogue::builtin().clone().with(toml)
    }

    /// The slug of the category of an action, in whatever case it is written; an unknown noun is its own category.
    pub fn category_of<'a>(&'a self, action: &'a str) -> Cow<'a, str> {
        let noun = match noun(action) {
            noun if noun.chars().any(char::is_uppercase) => Cow::Owned(noun.to_lowercase()),
            noun => Cow::Borrowed(noun),
        };
        match self.nouns.get(&*noun) {
            Some(&index) => Cow::Borrowed(&self.categories[index].slug),
            None => noun,
        }
    }

    /// All categories, in the order they are shown.
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// The category with that slug.
    pub fn category(&self, slug: &str) -> Option<&Category> {
        self.categories.iter().find(|category| category.slug == slug)
    }

    /// What is known of an action.
    pub fn action(&self, name: &str) -> Option<&ActionInfo> {
        self.actions.get(name).map(|&(category, action)| &self.categories[category].actions[action])
    }

    /// The nouns of a category.
    pub fn nouns_of(&self, slug: &str) -> Option<&[String]> {
        self.category(slug).map(|category| category.nouns.as_slice())
    }

    /// Whether a category lists that noun.
    pub fn has_noun(&self, noun: &str) -> bool {
        self.nouns.contains_key(noun)
    }

    /// Whether an event of `action` must not carry a member of that folded name (see [`fold_name`]).
    pub fn forbidden(&self, action: &str, folded_key: &str) -> bool {
        let lists = |of: &HashMap<String, HashSet<String>>| {
            [action, noun(action)].iter().any(|key| of.get(*key).is_some_and(|names| names.contains(folded_key)))
        };
        if self.forbidden.contains(folded_key) {
            return !lists(&self.forbidden_except);
        }
        lists(&self.forbidden_also)
    }

    /// Whether a member of that folded name (see [`fold_name`]) holds a secret.
    pub fn is_secret(&self, folded_key: &str) -> bool {
        self.secrets.contains(folded_key)
    }

    /// What becomes of a member of an event of `action`. A dotted name counts with each of its segments, since a
    /// dot in a key reads like nesting everywhere else; but a domain of Kubernetes in front of it says who named it,
    /// not what it is.
    pub(super) fn fate(&self, action: &str, key: &str) -> Fate {
        if key.contains('.') {
            let fates = behind_domain(key).split('.').map(|segment| self.segment_fate(action, segment));
            return fates.fold(self.segment_fate(action, key), Fate::graver);
        }
        self.segment_fate(action, key)
    }

    fn segment_fate(&self, action: &str, key: &str) -> Fate {
        let mut buffer = [0; 64];
        let folded = match fold_ascii_name(key, &mut buffer) {
            Some(folded) => folded,
            None => &fold_name(key),
        };
        let Some(&first) = folded.as_bytes().first() else {
            return Fate::Kept;
        };
        if !self.shapes[folded.len().min(SHAPE_LEN_MAX)][usize::from(first)] {
            return Fate::Kept;
        }
        if self.forbidden(action, folded) {
            Fate::Refused
        } else if self.is_secret(folded) {
            Fate::Redacted
        } else {
            Fate::Kept
        }
    }

    fn empty() -> Catalogue {
        Catalogue {
            categories: Vec::new(),
            nouns: HashMap::new(),
            actions: HashMap::new(),
            forbidden: HashSet::new(),
            forbidden_also: HashMap::new(),
            forbidden_except: HashMap::new(),
            secrets: HashSet::new(),
            shapes: Box::new([[false; 256]; SHAPE_LEN_MAX + 1]),
        }
    }

    fn with(mut self, toml: &str) -> Result<Catalogue, CatalogueError> {
        let file: File = toml::from_str(toml)?;
        for category in file.category {
            self.add_category(category)?;
        }
        // Only now: a later category may own the noun that equals an earlier one's slug.
        for index in 0..self.categories.len() {
            let slug = self.categories[index].slug.clone();
            if !self.nouns.contains_key(&slug) {
                self.add_noun(index, slug)?;
            }
        }
        for key in file.forbidden.keys {
            let name = self.listed(&key);
            self.forbidden.insert(name);
        }
        for key in file.secrets.keys {
            let name = self.listed(&key);
            self.secrets.insert(name);
        }
        for (action, keys) in file.forbidden.also {
            let names: Vec<String> = keys.iter().map(|key| self.listed(key)).collect();
            self.forbidden_also.entry(action).or_default().extend(names);
        }
        for (action, keys) in file.forbidden.except {
            self.forbidden_except.entry(action).or_default().extend(keys.iter().map(|key| fold_name(key)));
        }
        Ok(self)
    }

    fn add_category(&mut self, added: FileCategory) -> Result<(), CatalogueError> {
        let index = match self.categories.iter().position(|category| category.slug == added.slug) {
            Some(index) => {
                if !added.label.is_empty() {
                    self.categories[index].label = added.label;
                }
                index
            }
            None if added.slug.is_empty() || added.label.is_empty() => {
                return Err(CatalogueError::Unnamed { slug: added.slug });
            }
            None => {
                let (slug, label) = (added.slug, added.label);
                self.categories.push(Category { slug, label, nouns: Vec::new(), actions: Vec::new() });
                self.categories.len() - 1
            }
        };
        for noun in added.nouns {
            self.add_noun(index, noun)?;
        }
        for action in added.actions {
            self.add_action(index, action)?;
        }
        Ok(())
    }

    fn add_noun(&mut self, index: usize, noun: String) -> Result<(), CatalogueError> {
        match self.nouns.get(&noun) {
            Some(&owner) if owner == index => Ok(()),
            Some(&owner) => Err(CatalogueError::NounTaken {
                noun,
                slug: self.categories[index].slug.clone(),
                owner: self.categories[owner].slug.clone(),
            }),
            None => {
                self.categories[index].nouns.push(noun.clone());
                self.nouns.insert(noun, index);
                Ok(())
            }
        }
    }

    fn add_action(&mut self, index: usize, action: ActionInfo) -> Result<(), CatalogueError> {
        if self.nouns.get(noun(&action.name)) != Some(&index) {
            let slug = self.categories[index].slug.clone();
            return Err(CatalogueError::ForeignAction { action: action.name, slug });
        }
        let actions = &mut self.categories[index].actions;
        match actions.iter_mut().find(|known| known.name == action.name) {
            Some(known) => *known = action,
            None => {
                self.actions.insert(action.name.clone(), (index, actions.len()));
                actions.push(action);
            }
        }
        Ok(())
    }

    /// The folded form of a name that payloads are checked for.
    fn listed(&mut self, key: &str) -> String {
        let name = fold_name(key);
        if let Some(&first) = name.as_bytes().first() {
            self.shapes[name.len().min(SHAPE_LEN_MAX)][usize::from(first)] = true;
        }
        name
    }
}

impl Fate {
    fn graver(self, other: Fate) -> Fate {
        match (self, other) {
            (Fate::Refused, _) | (_, Fate::Refused) => Fate::Refused,
            (Fate::Redacted, _) | (_, Fate::Redacted) => Fate::Redacted,
            (Fate::Kept, Fate::Kept) => Fate::Kept,
        }
    }
}

/// A name without the domain of Kubernetes that qualifies it: `decision` of `authorization.k8s.io/decision`. Not of other domains:
/// `token.github.com/acme` may be a path of keys, joined.
fn behind_domain(key: &str) -> &str {
    let is_within =
        |domain: &str, of: &str| domain.strip_suffix(of).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let is_kubernetes = |domain: &str| is_within(domain, "k8s.io") || is_within(domain, "kubernetes.io");
    match key.split_once('/') {
        Some((domain, name)) if is_kubernetes(domain) && !name.is_empty() => name,
        _ => key,
    }
}

/// The name of a payload member as the catalogue compares it: lower case, without `_` and `-`.
pub fn fold_name(key: &str) -> String {
    key.chars().filter(|char| !matches!(char, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// [`fold_name`] without an allocation, for short ASCII names.
fn fold_ascii_name<'a>(key: &str, buffer: &'a mut [u8; 64]) -> Option<&'a str> {
    if key.len() > buffer.len() || !key.is_ascii() {
        return None;
    }
    let mut len = 0;
    for byte in key.bytes().filter(|byte| !matches!(byte, b'_' | b'-')) {
        buffer[len] = byte.to_ascii_lowercase();
        len += 1;
    }
    std::str::from_utf8(&buffer[..len]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_tree_has_every_category_and_action() {
        let catalogue = Catalogue::builtin();
        let slugs: Vec<&str> = catalogue.categories().iter().map(|category| category.slug.as_str()).collect();
        assert_eq!(
            slugs,
            [
                "auth",
                "team",
                "contacts",
                "conversations",
                "campaigns",
                "senders",
                "dids",
                "billing",
                "consent",
                "pricing",
                "audit"
            ]
        );
        assert_eq!(catalogue.categories().iter().map(|category| category.actions.len()).sum::<usize>(), 59);
        for action in catalogue.categories().iter().flat_map(|category| &category.actions) {
            assert!(!action.label.is_empty() && !action.description.is_empty() && !action.target_type.is_empty());
        }
        assert_eq!(catalogue.action("contact.deleted").unwrap().label, "Contact deleted");
        assert_eq!(catalogue.category("dids").unwrap().label, "DIDs");
    }

    #[test]
    fn the_category_follows_the_noun_and_an_unknown_noun_is_its_own() {
        let catalogue = Catalogue::builtin();
        for (action, category) in [
            ("contact.deleted", "contacts"),
            ("contact_field.added", "contacts"),
            ("template.rejected", "senders"),
            ("refund.issued", "billing"),
            ("log.recovered", "audit"),
            ("iam:CreateUser", "iam"),
            ("ConsoleLogin", "other"),
            ("contacts.synced", "contacts"),
        ] {
            assert_eq!(catalogue.category_of(action), category, "{action}");
        }
    }

    #[test]
    fn names_are_compared_without_case_underscores_and_hyphens_and_by_dotted_segment() {
        let catalogue = Catalogue::builtin();
        for (key, fate) in [
            ("password", Fate::Redacted),
            ("Pass-Word", Fate::Redacted),
            ("API_KEY", Fate::Redacted),
            ("to\u{212a}en", Fate::Redacted),
            ("user.password", Fate::Redacted),
            ("messageBody", Fate::Refused),
            ("call.recording-url", Fate::Refused),
            ("secret.transcript", Fate::Refused),
            ("passwordUpdated", Fate::Kept),
            ("tokenId", Fate::Kept),
            ("authorization.k8s.io/decision", Fate::Kept),
            ("authorization.k8s.io/a.token", Fate::Redacted),
            ("k8s.io/api-key", Fate::Redacted),
            ("a.k8s.io/api-key", Fate::Redacted),
            ("authorization/k8s.io", Fate::Kept),
            ("authorization.k8s.io/", Fate::Redacted),
            ("token.github.com/acme", Fate::Redacted),
            ("user.Pass_Word.a/b", Fate::Redacted),
            ("", Fate::Kept),
            ("__", Fate::Kept),
        ] {
            assert_eq!(catalogue.fate("contact.updated", key), fate, "{key}");
        }
    }

    #[test]
    fn an_extension_adds_categories_actions_and_names() {
        let catalogue = Catalogue::extended(
            r#"
            [[category]]
            slug = "contacts"
            nouns = ["segment"]
            actions = [{ name = "segment.created", label = "Segment created" }]
            [[category]]
            slug = "webhooks"
            label = "Webhooks"
            nouns = ["webhook"]
            [forbidden]
            also = { "conversation" = ["summary"] }
            except = { "policy.updated" = ["recording"] }
            [secrets]
            keys = ["ssn"]
            "#,
        )
        .unwrap();
        assert_eq!(catalogue.category_of("segment.created"), "contacts");
        assert_eq!(catalogue.category_of("webhook.failed"), "webhooks");
        assert_eq!(catalogue.nouns_of("webhooks").unwrap(), ["webhook", "webhooks"]);
        assert_eq!(catalogue.category("contacts").unwrap().label, "Contacts");
        assert_eq!(catalogue.fate("conversation.closed", "summary"), Fate::Refused);
        assert_eq!(catalogue.fate("contact.updated", "summary"), Fate::Kept);
        assert_eq!(catalogue.fate("policy.updated", "recording"), Fate::Kept);
        assert_eq!(catalogue.fate("contact.updated", "SSN"), Fate::Redacted);
        assert!(!Catalogue::builtin().has_noun("webhook"));
    }

    #[test]
    fn an_extension_that_contradicts_is_refused() {
        for toml in [
            "[[category]]\nslug = \"x\"\nlabel = \"X\"\nnouns = [\"contact\"]",
            "[[category]]\nslug = \"x\"\nlabel = \"X\"\nactions = [{ name = \"y.z\", label = \"Z\" }]",
            "[[category]]\nslug = \"x\"",
            "[[categories]]",
            "not toml",
        ] {
            assert!(Catalogue::extended(toml).is_err(), "{toml}");
        }
    }
}
