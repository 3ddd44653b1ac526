//! What a workspace holds at a moment of the demo: contacts, conversations, campaigns, rates … Kept so that events follow
//! from each other: what is deleted was there, a stage moves on from where it stood, a wallet holds what was paid in.

use super::cast::{PEOPLE, SCRIPTS, Tenant};
use super::random::Random;

/// Stages of a contact, in the order they are usually passed.
pub const STAGES: [&str; 5] = ["new", "lead", "qualified", "customer", "dormant"];

pub struct Contact {
    pub id: String,
    pub name: String,
    pub phone: String,
    pub email: Option<String>,
    /// Index into `STAGES`.
    pub stage: usize,
    pub has_consent: bool,
    /// Index into `SCRIPTS`.
    pub script: usize,
}

pub struct Conversation {
    pub id: String,
    pub contact_id: String,
    pub contact_name: String,
    pub channel: &'static str,
    /// Index into `PEOPLE`.
    pub assignee: usize,
    pub opened_ms: u64,
}

pub struct Campaign {
    pub id: String,
    pub name: String,
    pub channel: &'static str,
    pub audience: u64,
}

/// A sender, a template, a DID or a custom field: something with an id and a name that waits for its next step.
pub struct Item {
    pub id: String,
    pub name: String,
    /// What else its story needs: a type, a category, a country.
    pub note: &'static str,
}

pub struct Member {
    pub id: String,
    pub name: String,
    pub email: String,
    pub role: &'static str,
    /// Index into `PEOPLE` for those who act; none for people who were only invited.
    pub person: Option<usize>,
}

pub struct Rate {
    pub country: &'static str,
    pub channel: &'static str,
    /// Price per unit in ten-thousandths of the currency.
    pub rate_e4: u64,
    /// Margin on it in tenths of a percent.
    pub margin_e1: u64,
}

/// Everything of one workspace.
pub struct Office {
    pub tenant: &'static Tenant,
    /// Indexes into `PEOPLE` of those who work here.
    pub people: Vec<usize>,
    pub members: Vec<Member>,
    pub contacts: Vec<Contact>,
    pub fields: Vec<Item>,
    pub open: Vec<Conversation>,
    pub closed: Vec<Conversation>,
    pub drafts: Vec<Campaign>,
    pub scheduled: Vec<Campaign>,
    pub running: Vec<Campaign>,
    pub senders: Vec<Item>,
    pub templates: Vec<Item>,
    pub dids_requested: Vec<Item>,
    pub dids_cleared: Vec<Item>,
    pub dids_assigned: Vec<Item>,
    /// What the wallet holds, in hundredths of the tenant's currency.
    pub wallet_cents: u64,
    pub rates: Vec<Rate>,
}

pub const CHANNELS: [&str; 4] = ["sms", "whatsapp", "voice", "email"];
const COUNTRIES: [&str; 6] = ["IN", "US", "DE", "FR", "AE", "JP"];
/// Contacts that are there before the first event.
const CONTACTS_AT_START: usize = 240;
/// Closed conversations that can still be reopened; older ones are forgotten.
const CLOSED_MAX: usize = 400;

impl Office {
    /// The workspace as it stands before the first event. `number` is the tenant's place among the tenants.
    pub fn open(tenant: &'static Tenant, number: usize, tenants: usize, random: &mut Random) -> Office {
        let people: Vec<usize> = (0..PEOPLE.len()).filter(|index| index % tenants == number).collect();
        let members = people
            .iter()
            .map(|&index| Member {
                id: person_id(index),
                name: PEOPLE[index].name.to_owned(),
                email: person_email(index, tenant),
                role: PEOPLE[index].role,
                person: Some(index),
            })
            .collect();
        let rates = COUNTRIES
            .iter()
            .flat_map(|country| CHANNELS.iter().map(move |channel| (*country, *channel)))
            .map(|(country, channel)| Rate {
                country,
                channel,
                rate_e4: 40 + random.below(160),
                margin_e1: 120 + random.below(140),
            })
            .collect();
        let mut office = Office {
            tenant,
            people,
            members,
            contacts: Vec::new(),
            fields: Vec::new(),
            open: Vec::new(),
            closed: Vec::new(),
            drafts: Vec::new(),
            scheduled: Vec::new(),
            running: Vec::new(),
            senders: Vec::new(),
            templates: Vec::new(),
            dids_requested: Vec::new(),
            dids_cleared: Vec::new(),
            dids_assigned: Vec::new(),
            wallet_cents: 250_000 + random.below(500_000),
            rates,
        };
        for _ in 0..CONTACTS_AT_START {
            let mut contact = office.new_contact(random);
            contact.stage = random.index(STAGES.len());
            contact.has_consent = random.chance(60);
            office.contacts.push(contact);
        }
        office
    }

    /// Someone nobody has met before; not yet among `contacts`.
    pub fn new_contact(&self, random: &mut Random) -> Contact {
        let script = self.tenant.scripts[random.index(self.tenant.scripts.len())];
        let words = &SCRIPTS[script];
        let (first, last) = (random.pick(words.first), random.pick(words.last));
        let name = if words.is_family_first { format!("{last}{first}") } else { format!("{first} {last}") };
        let id = code("c_", random);
        let email = random
            .chance(70)
            .then(|| format!("{}@example.{}", id[2..].to_lowercase(), random.pick(&["com", "net", "org"])));
        let phone = self.phone(random);
        Contact { id, name, phone, email, stage: 0, has_consent: false, script }
    }

    /// A number of the tenant's unused range.
    pub fn phone(&self, random: &mut Random) -> String {
        let range = &self.tenant.phone;
        let below = 10u64.pow(range.digits as u32);
        format!("{}{:0width$}", range.prefix, random.below(below), width = range.digits)
    }

    /// One of the contacts' places. There are always some: the stories delete fewer than they create.
    pub fn any_contact(&mut self, random: &mut Random) -> usize {
        if self.contacts.is_empty() {
            let contact = self.new_contact(random);
            self.contacts.push(contact);
        }
        random.index(self.contacts.len())
    }

    /// A new conversation with one of the contacts, for one of the people.
    pub fn start_conversation(&mut self, now_ms: u64, random: &mut Random) -> Conversation {
        let contact = self.any_contact(random);
        let contact = &self.contacts[contact];
        Conversation {
            id: code("v_", random),
            contact_id: contact.id.clone(),
            contact_name: contact.name.clone(),
            channel: random.pick(&CHANNELS),
            assignee: self.people[random.index(self.people.len())],
            opened_ms: now_ms,
        }
    }

    /// Takes one of the open conversations; if none is open, one that began a little before.
    pub fn take_open(&mut self, now_ms: u64, random: &mut Random) -> Conversation {
        match self.open.is_empty() {
            true => self.start_conversation(now_ms.saturating_sub(1_800_000), random),
            false => self.open.swap_remove(random.index(self.open.len())),
        }
    }

    /// Puts a conversation among the closed ones, forgetting the oldest.
    pub fn close(&mut self, conversation: Conversation) {
        if self.closed.len() == CLOSED_MAX {
            self.closed.remove(0);
        }
        self.closed.push(conversation);
    }
}

/// `u_101` for the first of the people.
pub fn person_id(person: usize) -> String {
    format!("u_{}", 101 + person)
}

/// Mail address of one of the people in this workspace.
pub fn person_email(person: usize, tenant: &Tenant) -> String {
    format!("{}@{}", PEOPLE[person].mail, tenant.domain)
}

/// An id such as `c_8FQ2M0`: a prefix and six signs of Crockford's base 32.
pub fn code(prefix: &str, random: &mut Random) -> String {
    const SIGNS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut id = String::with_capacity(prefix.len() + 6);
    id.push_str(prefix);
    for _ in 0..6 {
        id.push(SIGNS[random.index(SIGNS.len())] as char);
    }
    id
}

/// Takes a random one out of the list.
pub fn take<T>(list: &mut Vec<T>, random: &mut Random) -> Option<T> {
    match list.is_empty() {
        true => None,
        false => Some(list.swap_remove(random.index(list.len()))),
    }
}
