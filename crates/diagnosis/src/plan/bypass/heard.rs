//! Who is heard where only a port tells an answer: of UDP, once its questions are not tracked.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::Protocol;

use super::super::Plan;
use super::BypassRequest;
use crate::facts::Ways;
use crate::rules::Accept;

/// Sockets that are named, at most.
const FEW: usize = 5;

/// Tells who will be heard and who will not, and refuses where others than answers would reach a socket.
pub(super) fn tell(accepts: &[Accept], request: &BypassRequest, rules: &Ways, plan: &mut Plan) {
    let Some((first, last)) = accepts.iter().find_map(|accept| accept.heard_at) else { return };
    let udp = Protocol::Udp;
    let named = |port: &u16| format!("{}/{port}", udp.name());
    let services = request.services.iter().filter(|(protocol, _)| *protocol == udp);
    let from: Vec<String> = services.map(|(_, port)| named(port)).collect();
    let from = from.join(", ");
    plan.risks.push(said!(
        "Answers come in to ports {first} to {last}, from which this kernel lets programs ask (`ip_local_port_range`): one that \
         chooses another port itself, as many resolvers do, hears none.",
        "回答只能进到端口 {first} 到 {last}，也就是内核让程序发问所用的端口（`ip_local_port_range`）：自己另选端口的程序（许多域名\
         解析程序如此）收不到回答。"
    ));
    plan.risks.push(said!(
        "Nothing but the port tells what is an answer: whoever sends from {from} reaches what is on these ports.",
        "除了端口，没有什么能说明哪个是回答：从 {from} 发来的任何人都能到达这些端口上的程序。"
    ));
    let mut exposed: Vec<u16> = rules
        .listening
        .value()
        .into_iter()
        .flatten()
        .filter(|(protocol, ip, port)| {
            *protocol == udp.number() && !ip.is_loopback() && (first..=last).contains(port)
        })
        .map(|(_, _, port)| *port)
        .collect();
    exposed.sort_unstable();
    exposed.dedup();
    if exposed.is_empty() {
        return;
    }
    let some: Vec<String> = exposed.iter().take(FEW).map(named).collect();
    let more = if exposed.len() > FEW { ", …" } else { "" };
    let why = said!(
        "whoever sends from {from} would reach {}{more}, on which somebody listens: if that does no harm, --unsure goes on",
        "从 {from} 发来的任何人都能到达有程序在监听的 {}{more}：如果这没有妨碍，--unsure 可以继续",
        some.join(", ")
    );
    if request.unsure { &mut plan.risks } else { &mut plan.refused }.push(why);
}
