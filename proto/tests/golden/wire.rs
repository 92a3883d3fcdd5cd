//! Golden forms of every frame.

use bytchat_proto::id::MailMark;
use bytchat_proto::limits::{FRAME_BYTES_MAX, PROTOCOL_VERSION};
use bytchat_proto::point::Point;
use bytchat_proto::record::RecordKind;
use bytchat_proto::wire::{
    Body, Contacts, Delivery, Frame, Hello, NetworkProof, Notice, Refusal, Request, Response,
};

use serde_bytes::ByteBuf;

use crate::fixtures::{
    AT, DEVICE, ENVELOPE, NETWORK, USER, account, addresses, alias, signed, truly_signed,
};
use crate::sink::{Golden, assert_all_covered, variants};
use crate::values;

variants!(body_name, BODIES, Body {
    Body::Hello(_) => "hello",
    Body::NetworkProof(_) => "network_proof",
    Body::Routing(_) => "routing",
    Body::Delivery(_) => "delivery",
    Body::Notice(_) => "notice",
    Body::Request(_) => "request",
    Body::Response(_) => "response",
});

variants!(request_name, REQUESTS, Request {
    Request::Ping => "ping",
    Request::FindNode { .. } => "find_node",
    Request::FindRecord { .. } => "find_record",
    Request::PutRecord { .. } => "put_record",
    Request::TakeKeys { .. } => "take_keys",
    Request::PutKeys { .. } => "put_keys",
    Request::Deposit { .. } => "deposit",
    Request::Attach { .. } => "attach",
    Request::Prove { .. } => "prove",
    Request::Remove { .. } => "remove",
    Request::Fetch { .. } => "fetch",
    Request::ShowKept { .. } => "show_kept",
    Request::Compare { .. } => "compare",
    Request::Notify { .. } => "notify",
    Request::RegisterAlias { .. } => "register_alias",
    Request::ResolveAlias { .. } => "resolve_alias",
});

variants!(response_name, RESPONSES, Response {
    Response::Done => "done",
    Response::Nodes(_) => "nodes",
    Response::Records { .. } => "records",
    Response::Keys { .. } => "keys",
    Response::Receipt { .. } => "receipt",
    Response::Kept { .. } => "kept",
    Response::Lacks { .. } => "lacks",
    Response::Challenge { .. } => "challenge",
    Response::Attached { .. } => "attached",
    Response::Binding { .. } => "binding",
    Response::Refused { .. } => "refused",
});

variants!(refusal_name, REFUSALS, Refusal {
    Refusal::Malformed => "malformed",
    Refusal::Unknown => "unknown",
    Refusal::BadSignature => "bad_signature",
    Refusal::Stale => "stale",
    Refusal::Expired => "expired",
    Refusal::NotClosest => "not_closest",
    Refusal::Full => "full",
    Refusal::NotAttached => "not_attached",
    Refusal::NotFound => "not_found",
    Refusal::Taken => "taken",
    Refusal::NotPod => "not_pod",
    Refusal::Busy => "busy",
    Refusal::Other => "other",
});

fn contacts() -> Contacts {
    Contacts { contacts: vec![values::contact()] }
}

fn notice() -> Notice {
    Notice { user: USER, device: DEVICE, envelope: ENVELOPE, until: AT }
}

fn hello() -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        network: NETWORK,
        contact: values::contact(),
        observed: addresses()[0],
        frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).expect("the limit fits"),
        time: Some(AT),
    }
}

pub(crate) fn pushes() -> Vec<Body> {
    vec![
        Body::Hello(hello()),
        Body::NetworkProof(NetworkProof { proof: ByteBuf::from(vec![7; 32]) }),
        Body::Routing(contacts()),
        Body::Delivery(Delivery { envelope: values::envelope() }),
        Body::Notice(notice()),
    ]
}

pub(crate) fn requests() -> Vec<Request> {
    let target = Point([0x12; 20]);
    let user = USER;
    vec![
        Request::Ping,
        Request::FindNode { target },
        Request::FindRecord { target, kind: RecordKind::Prekey },
        Request::PutRecord { record: values::record() },
        Request::TakeKeys { user },
        Request::PutKeys { user, keys: vec![truly_signed(&values::one_time_key(), 2)] },
        Request::Deposit { envelope: values::envelope(), until: AT, repair: true },
        Request::Attach { user },
        Request::Prove {
            account: account(),
            certificate: signed(&values::certificate()),
            proof: truly_signed(&values::attach_proof(), 2),
        },
        Request::Remove { removal: signed(&values::removal()) },
        Request::Fetch { user, envelopes: vec![ENVELOPE] },
        Request::ShowKept {
            user,
            device: DEVICE,
            envelope: ENVELOPE,
            nonce: values::bytes(0x66, 32),
        },
        Request::Compare { marks: vec![MailMark::new(user, DEVICE, ENVELOPE)] },
        Request::Notify { notice: notice() },
        Request::RegisterAlias { claim: signed(&values::claim()) },
        Request::ResolveAlias { alias: alias() },
    ]
}

pub(crate) fn responses() -> Vec<Response> {
    vec![
        Response::Done,
        Response::Nodes(contacts()),
        Response::Records { records: vec![values::record()], contacts: contacts().contacts },
        Response::Keys { keys: vec![truly_signed(&values::one_time_key(), 2)] },
        Response::Receipt { receipt: truly_signed(&values::holder_receipt(), 1) },
        Response::Kept { proof: values::bytes(0x67, 32) },
        Response::Lacks { marks: vec![MailMark([0x68; 16])] },
        Response::Challenge { nonce: values::bytes(0x65, 32) },
        Response::Attached { waiting: 2, keys: 20 },
        Response::Binding { binding: values::binding_signed() },
        Response::refused(Refusal::NotClosest, "five nodes are nearer"),
    ]
}

fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::Malformed,
        Refusal::Unknown,
        Refusal::BadSignature,
        Refusal::Stale,
        Refusal::Expired,
        Refusal::NotClosest,
        Refusal::Full,
        Refusal::NotAttached,
        Refusal::NotFound,
        Refusal::Taken,
        Refusal::NotPod,
        Refusal::Busy,
        Refusal::Other,
    ]
}

/// One frame of every shape.
pub(crate) fn frames() -> Vec<(String, Frame)> {
    let named = |name: &str, id, body: Body| (name.to_owned(), body.with_id(id));
    let pushes = pushes().into_iter().map(|body| named(body_name(&body), 0, body));
    let requests = requests().into_iter().map(|request| {
        let name = format!("request.{}", request_name(&request));
        named(&name, 8, Body::Request(request))
    });
    let responses = responses().into_iter().map(|response| {
        let name = format!("response.{}", response_name(&response));
        named(&name, 8, Body::Response(response))
    });
    let refusals = refusals().into_iter().map(|reason| {
        let name = format!("refusal.{}", refusal_name(&reason));
        let body = Body::Response(Response::refused(reason, "no"));
        named(&name, 8, body)
    });
    pushes.chain(requests).chain(responses).chain(refusals).collect()
}

/// SPEC 2.3, 2.6: a frame has one form in bytes and one in JSON.
#[test]
fn frames_keep_their_bytes_and_their_json() {
    let mut golden = Golden::default();
    for (name, frame) in frames() {
        golden.forms(&name, &frame.encode(), &frame.to_json());
    }
    golden.check("wire.txt");
}

#[test]
fn every_variant_has_a_sample() {
    let mut bodies: Vec<_> = pushes().iter().map(body_name).collect();
    bodies.push(body_name(&Body::Request(Request::Ping)));
    bodies.push(body_name(&Body::Response(Response::Done)));
    assert_all_covered(BODIES, &bodies);
    let requests: Vec<_> = requests().iter().map(request_name).collect();
    assert_all_covered(REQUESTS, &requests);
    let responses: Vec<_> = responses().iter().map(response_name).collect();
    assert_all_covered(RESPONSES, &responses);
    let refusals: Vec<_> = refusals().iter().map(refusal_name).collect();
    assert_all_covered(REFUSALS, &refusals);
}

#[test]
fn the_json_form_has_the_three_heads() {
    for (name, frame) in frames() {
        let json = frame.to_json();
        let heads: Vec<_> = json.as_object().expect("an object").keys().collect();
        assert_eq!(heads, ["msg_data", "msg_id", "msg_type"], "{name}");
    }
}
