//! Addresses: the known servers, the text form, and the parts that the codec writes.
//!
//! What must stay true: reading the text of a JID gives the parts it was made of, and nothing of a text is lost on the way;
//! what does not parse is not an address (`None`), never half of one.
//!
//! `user_agent` is the old way to name a domain in text. An agent that stands for a server becomes that server; another agent
//! is kept as part of the user, because no server is known for it, and `foreign_agent` finds it again for AD_JID.
//!
//! Source: Baileys WABinary/jid-utils.ts, whatsmeow types/jid.go (facts).

use std::borrow::Cow;

/// Servers with a number of their own: their index here.
pub const SERVERS: [&str; 12] = [
    "s.whatsapp.net",
    "lid",
    "g.us",
    "broadcast",
    "newsletter",
    "hosted",
    "hosted.lid",
    "bot",
    "call",
    "c.us",
    "msgr",
    "interop",
];
pub const PN: u8 = 0;
pub const LID: u8 = 1;
pub const GROUP: u8 = 2;
pub const BROADCAST: u8 = 3;
pub const NEWSLETTER: u8 = 4;
pub const HOSTED: u8 = 5;
pub const HOSTED_LID: u8 = 6;
pub const LEGACY: u8 = 9;
pub const INTEROP: u8 = 11;

/// AD_JID's domain byte and the server it stands for.
const DOMAINS: [(u8, u8); 4] = [(0, PN), (1, LID), (128, HOSTED), (129, HOSTED_LID)];

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JidParts<'a> {
    pub user: Cow<'a, str>,
    pub server: &'a str,
    pub device: u16,
    pub integrator: u16,
    /// The wire form names the device, even if it is 0.
    pub is_ad: bool,
}

/// The number of a known server.
#[inline]
pub fn server_number(name: &str) -> Option<u8> {
    let position = SERVERS.iter().position(|server| *server == name)?;
    u8::try_from(position).ok()
}

/// The name of a known server.
pub fn server_name(number: u8) -> &'static str {
    SERVERS.get(usize::from(number)).copied().unwrap_or("")
}

/// The server that an AD_JID's domain byte stands for.
pub fn domain_server(domain: u8) -> Option<u8> {
    DOMAINS.iter().find(|(known, _)| *known == domain).map(|(_, server)| *server)
}

/// The domain byte of a server's AD_JID; None when that form cannot carry the server. c.us is the old name of s.whatsapp.net.
pub fn ad_domain(server: &str) -> Option<u8> {
    let number = server_number(server)?;
    let number = if number == LEGACY { PN } else { number };
    DOMAINS.iter().find(|(_, known)| *known == number).map(|(domain, _)| *domain)
}

/// `user_agent` with an agent that stands for no known server: the user and the domain byte.
pub fn foreign_agent(user: &str) -> Option<(&str, u8)> {
    let (user, digits) = user.split_once('_')?;
    let agent: u8 = number(digits)?;
    let is_canonical = !digits.starts_with('0');
    (is_canonical && domain_server(agent).is_none()).then_some((user, agent))
}

/// Read `user[_agent][:device]@server` or `integrator-user[:device]@interop`. None for anything else.
pub fn parse(text: &str) -> Option<JidParts<'_>> {
    let (left, server) = text.split_once('@')?;
    if server.is_empty() || server.contains('@') {
        return None;
    }
    let (left, device) = match left.split_once(':') {
        Some((left, digits)) => (left, Some(number(digits)?)),
        None => (left, None),
    };
    let (user, server) = without_agent(left, server)?;
    let (user, integrator) = without_integrator(user, server)?;
    let is_ad = device.is_some() || integrator > 0;
    Some(JidParts { user: Cow::Borrowed(user), server, device: device.unwrap_or(0), integrator, is_ad })
}

/// The user and the server that the agent stands for. Only servers that AD_JID can carry know agents.
fn without_agent<'a>(left: &'a str, server: &'a str) -> Option<(&'a str, &'a str)> {
    let (Some(domain), Some((user, digits))) = (ad_domain(server), left.split_once('_')) else {
        return Some((left, server));
    };
    match (domain, number::<u8>(digits)?) {
        (own, agent) if agent == own || agent == 0 => Some((user, server)),
        (0, agent) => match domain_server(agent) {
            Some(number) => Some((user, server_name(number))),
            None => foreign_agent(left).map(|_| (left, server)),
        },
        _ => None,
    }
}

fn without_integrator<'a>(user: &'a str, server: &str) -> Option<(&'a str, u16)> {
    match user.split_once('-') {
        Some((digits, user)) if server == "interop" => Some((user, number(digits)?)),
        _ => Some((user, 0)),
    }
}

/// Digits only: no sign, no space.
fn number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, &str, u16, u16, bool)> {
        parse(text).map(|jid| (jid.user.into_owned(), jid.server, jid.device, jid.integrator, jid.is_ad))
    }

    fn some(
        user: &str, server: &'static str, device: u16, integrator: u16, is_ad: bool,
    ) -> Option<(String, &'static str, u16, u16, bool)> {
        Some((user.to_owned(), server, device, integrator, is_ad))
    }

    #[test]
    fn text_is_taken_apart() {
        assert_eq!(parts("123@lid"), some("123", "lid", 0, 0, false));
        assert_eq!(parts("123:0@lid"), some("123", "lid", 0, 0, true));
        assert_eq!(parts("123:65535@msgr"), some("123", "msgr", 65_535, 0, true));
        assert_eq!(parts("9-123:3@interop"), some("123", "interop", 3, 9, true));
        assert_eq!(parts("123@interop"), some("123", "interop", 0, 0, false));
        assert_eq!(parts("1-2_x@g.us"), some("1-2_x", "g.us", 0, 0, false));
        assert_eq!(parts("@s.whatsapp.net"), some("", "s.whatsapp.net", 0, 0, false));
    }

    #[test]
    fn an_agent_stands_for_a_server_or_stays() {
        assert_eq!(parts("123_1:5@s.whatsapp.net"), some("123", "lid", 5, 0, true));
        assert_eq!(parts("123_128:99@s.whatsapp.net"), some("123", "hosted", 99, 0, true));
        assert_eq!(parts("123_129@c.us"), some("123", "hosted.lid", 0, 0, false));
        assert_eq!(parts("123_0:5@s.whatsapp.net"), some("123", "s.whatsapp.net", 5, 0, true));
        assert_eq!(parts("123_1@lid"), some("123", "lid", 0, 0, false));
        assert_eq!(parts("123_7:5@s.whatsapp.net"), some("123_7", "s.whatsapp.net", 5, 0, true));
        assert_eq!(foreign_agent("123_7"), Some(("123", 7)));
        for kept in ["123", "123_1", "123_07", "123_256", "a_b"] {
            assert_eq!(foreign_agent(kept), None, "{kept}");
        }
    }

    #[test]
    fn what_does_not_parse_is_no_address() {
        let wrong = [
            "",
            "123",
            "123@",
            "a@b@c",
            "1:@lid",
            "1:2:3@lid",
            "1:+2@lid",
            "1: 2@lid",
            "1:65536@lid",
            "1_x@lid",
            "1_256@s.whatsapp.net",
            "1_128@lid",
            "1_07@s.whatsapp.net",
            "x-1@interop",
            "70000-1@interop",
        ];
        for text in wrong {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
