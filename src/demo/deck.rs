//! Which actions happen how often: a deck of 1,000 cards that is shuffled and dealt out again and again. Dealing instead of
//! drawing makes the shares exact, so that 20,000 events hold every action and each category at least 400 times.

use super::random::Random;
use super::scene::Scene;
use super::story;

/// Who does such a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doer {
    /// Any of the people.
    Anyone,
    /// Those who talk to contacts: agents, and managers now and then.
    Agents,
    /// Admins and managers.
    Leads,
    /// Those who look after money, and admins.
    Billing,
    /// A job of the system.
    System,
    /// Mostly an agent, sometimes a job.
    AgentsOrSystem,
}

/// One action of the catalogue and how the demo tells it.
pub struct Card {
    pub action: &'static str,
    /// How many of 1,000 events are this.
    pub per_thousand: usize,
    pub doer: Doer,
    /// Fills in target, changes, detail and the rest.
    pub tell: fn(&mut Scene),
}

const fn card(action: &'static str, per_thousand: usize, doer: Doer, tell: fn(&mut Scene)) -> Card {
    Card { action, per_thousand, doer, tell }
}

/// Every action of the built-in catalogue that an application sends; the category `audit` is the server's own.
pub static CARDS: [Card; 43] = [
    card("auth.sign_in", 130, Doer::Anyone, story::auth::sign_in),
    card("auth.sign_out", 60, Doer::Anyone, story::auth::sign_out),
    card("auth.sign_in_failed", 30, Doer::Anyone, story::auth::sign_in_failed),
    card("user.invited", 8, Doer::Leads, story::team::invited),
    card("user.role_changed", 6, Doer::Leads, story::team::role_changed),
    card("user.suspended", 3, Doer::Leads, story::team::suspended),
    card("user.deleted", 3, Doer::Leads, story::team::deleted),
    card("contact.viewed", 150, Doer::Agents, story::contacts::viewed),
    card("contact.created", 70, Doer::AgentsOrSystem, story::contacts::created),
    card("contact.updated", 90, Doer::AgentsOrSystem, story::contacts::updated),
    card("contact.deleted", 12, Doer::Agents, story::contacts::deleted),
    card("contact.exported", 6, Doer::Anyone, story::contacts::exported),
    card("contact.erased", 3, Doer::Leads, story::contacts::erased),
    card("contact_field.added", 3, Doer::Leads, story::contacts::field_added),
    card("contact_field.renamed", 2, Doer::Leads, story::contacts::field_renamed),
    card("contact_field.removed", 2, Doer::Leads, story::contacts::field_removed),
    card("conversation.assigned", 70, Doer::AgentsOrSystem, story::conversations::assigned),
    card("conversation.reassigned", 25, Doer::Leads, story::conversations::reassigned),
    card("conversation.closed", 65, Doer::AgentsOrSystem, story::conversations::closed),
    card("conversation.reopened", 15, Doer::AgentsOrSystem, story::conversations::reopened),
    card("conversation.snoozed", 20, Doer::Agents, story::conversations::snoozed),
    card("campaign.created", 12, Doer::Leads, story::campaigns::created),
    card("campaign.scheduled", 12, Doer::Leads, story::campaigns::scheduled),
    card("campaign.launched", 12, Doer::System, story::campaigns::launched),
    card("campaign.paused", 4, Doer::Leads, story::campaigns::paused),
    card("campaign.cancelled", 3, Doer::Leads, story::campaigns::cancelled),
    card("sender.added", 4, Doer::Leads, story::senders::added),
    card("sender.approved", 3, Doer::System, story::senders::approved),
    card("sender.failed", 2, Doer::System, story::senders::failed),
    card("template.submitted", 8, Doer::Leads, story::senders::template_submitted),
    card("template.approved", 6, Doer::System, story::senders::template_approved),
    card("template.rejected", 3, Doer::System, story::senders::template_rejected),
    card("did.requested", 6, Doer::Leads, story::dids::requested),
    card("did.kyc_approved", 5, Doer::System, story::dids::kyc_approved),
    card("did.assigned", 6, Doer::Leads, story::dids::assigned),
    card("did.released", 3, Doer::Leads, story::dids::released),
    card("wallet.topped_up", 14, Doer::Billing, story::billing::topped_up),
    card("wallet.auto_topped_up", 16, Doer::System, story::billing::auto_topped_up),
    card("refund.issued", 8, Doer::Billing, story::billing::refund_issued),
    card("consent.opted_in", 45, Doer::AgentsOrSystem, story::consent::opted_in),
    card("consent.opted_out", 35, Doer::AgentsOrSystem, story::consent::opted_out),
    card("pricing.rate_changed", 12, Doer::Billing, story::pricing::rate_changed),
    card("pricing.margin_changed", 8, Doer::Billing, story::pricing::margin_changed),
];

/// The cards in the order of the current deal.
pub struct Deck {
    order: Vec<usize>,
    next: usize,
}

impl Deck {
    /// A deck that shuffles itself before its first card.
    pub fn new() -> Deck {
        let order: Vec<usize> =
            CARDS.iter().enumerate().flat_map(|(index, card)| std::iter::repeat_n(index, card.per_thousand)).collect();
        Deck { next: order.len(), order }
    }

    /// The next card; a used-up deck is shuffled again.
    pub fn deal(&mut self, random: &mut Random) -> &'static Card {
        if self.next == self.order.len() {
            random.shuffle(&mut self.order);
            self.next = 0;
        }
        self.next += 1;
        &CARDS[self.order[self.next - 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deck_has_a_thousand_cards() {
        assert_eq!(Deck::new().order.len(), 1_000);
    }
}
