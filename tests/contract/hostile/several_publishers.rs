//! Harmful values in the words of a topic of several publishers.

use super::*;

/// The places of a topic of two publishers and two subscribers: the second lane, its publisher in slot
/// 0, and a subscriber in slot 1.
pub const OF_SEVERAL: [Places; 5] = [
    ("", &[24..28, 28..32]),
    ("~control-00000001", &[12..16, 60..64, 76..80]),
    (
        "~roster-00000001",
        &[4096..4112, 4608..4620, 4736..4744, 5760..5768],
    ),
    ("~lanes-00000001", &[4608..4616, 4864..4896, 5120..5136]),
    ("~lanes-00000001", &[4992..5048, 5048..5104]),
];

// layout: L009 L186 L291 L295 L296
pub fn each_word_of_several(places: Places) {
    each_word(places, |section, change| {
        let name = unique("hostile-several");
        let delivery = Delivery::LosslessFor(Duration::ZERO);
        let options = Publisher::options().capacity(4096).delivery(delivery);
        let options = options.publishers(2).subscribers(2);
        let mut owner = options.create(name.as_str()).unwrap();
        let mut guest = Publisher::open(name.as_str()).unwrap();
        let mut subscriber = Subscriber::open(name.as_str()).unwrap();
        for message in [&b"one"[..], &[2; 100], b"three"] {
            guest.send(message).unwrap();
            owner.send(message).unwrap();
        }
        let receive = |subscriber: &mut Subscriber| {
            for _ in 0..LOOKS {
                let came = subscriber.try_recv().map(drop);
                let _ = (subscriber.publisher(), subscriber.behind());
                if !matches!(came, Err(RecvError::PublisherGone { .. })) && settled(came) {
                    break;
                }
            }
        };
        receive(&mut subscriber);
        change(&open(&name, section));
        receive(&mut subscriber);
        for _ in 0..40 {
            let _ = guest.send_timeout(&[4; 200], Duration::from_micros(1));
        }
        receive(&mut subscriber);
        drop(guest);
        let _ = segment_info(name.as_str());
        if !starts_like_raw(&name) {
            let next = Publisher::open(name.as_str());
            let _ = next.map(|mut next| next.try_send(b"next").is_ok());
            receive(&mut subscriber);
            let late = Subscriber::options()
                .start(Start::Oldest)
                .open(name.as_str());
            let _ = late.map(|mut late| receive(&mut late));
        }
    });
}
