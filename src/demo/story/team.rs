//! Members of a workspace: invited, given roles, suspended, removed.

use super::super::cast::SCRIPTS;
use super::super::office::{Member, code};
use super::super::scene::{Scene, object, text, whole};
use crate::json::Json;

pub fn invited(scene: &mut Scene) {
    let script = scene.random.index(SCRIPTS.len());
    let words = &SCRIPTS[script];
    let name = format!("{} {}", scene.random.pick(words.first), scene.random.pick(words.last));
    let id = code("u_", scene.random);
    let email = format!("{}@{}", id[2..].to_lowercase(), scene.office.tenant.domain);
    let role = scene.random.pick(&["agent", "agent", "agent", "viewer", "manager"]);
    scene.target("user", &id, &name);
    scene.change("role", Json::Null, text(role));
    scene.detail("email", text(&email));
    scene.detail("expires_in_days", whole(7));
    scene.office.members.push(Member { id, name, email, role, person: None });
}

pub fn role_changed(scene: &mut Scene) {
    let at = scene.random.index(scene.office.members.len());
    let before = scene.office.members[at].role;
    let after = match before {
        "agent" => scene.random.pick(&["admin", "manager", "manager", "viewer"]),
        "viewer" => "agent",
        "manager" => scene.random.pick(&["agent", "admin"]),
        "admin" => "manager",
        _ => scene.random.pick(&["viewer", "agent", "manager"]),
    };
    let (id, name) = (scene.office.members[at].id.clone(), scene.office.members[at].name.clone());
    scene.target("user", &id, &name);
    scene.change("role", text(before), text(after));
    let code = scene.random.pick(&["shift lead", "parental cover", "moved team", "access review"]);
    scene.detail("reason_code", text(code));
    let ticket = 4_000 + scene.random.below(2_000);
    scene.detail("ticket", whole(ticket));
    match scene.random.below(12) {
        0 => scene.outcome("denied", "only an admin may give this role"),
        _ => scene.office.members[at].role = after,
    }
}

pub fn suspended(scene: &mut Scene) {
    let member = take_invited(scene);
    scene.target("user", &member.id, &member.name);
    scene.change("status", text("active"), text("suspended"));
    let reason =
        scene.random.pick(&["on leave", "device lost", "left the company, handover open", "ungewöhnliche Anmeldungen"]);
    scene.reason(reason);
    let sessions = scene.random.below(4);
    scene.detail("sessions_ended", whole(sessions));
    scene.office.members.push(member);
}

pub fn deleted(scene: &mut Scene) {
    let member = take_invited(scene);
    scene.target("user", &member.id, &member.name);
    scene.change("member", object(vec![("email", text(&member.email)), ("role", text(member.role))]), Json::Null);
    let handed_over = scene.random.below(60);
    scene.detail("contacts_handed_over", whole(handed_over));
}

/// Takes one of the people who were invited and never act: the 40 are neither suspended nor deleted.
fn take_invited(scene: &mut Scene) -> Member {
    let invited: Vec<usize> =
        (0..scene.office.members.len()).filter(|&at| scene.office.members[at].person.is_none()).collect();
    if !invited.is_empty() {
        let at = invited[scene.random.index(invited.len())];
        return scene.office.members.swap_remove(at);
    }
    let id = code("u_", scene.random);
    let email = format!("{}@{}", id[2..].to_lowercase(), scene.office.tenant.domain);
    Member { id, name: "Former member".to_owned(), email, role: "viewer", person: None }
}
