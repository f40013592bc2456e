//! Harmful values in the words of senders with source keys.

use super::*;

/// The places of the slots of two senders: of one that sends, and of one that has left.
pub const OF_SOURCES: [Places; 5] = [
    ("", &[24..28, 28..36]),
    ("~control-00000001", &[256..264, 4096..4104]),
    ("~roster-00000001", &[4160..4216, 4672..4728]),
    ("~lanes-00000001", &[512..544, 544..576]),
    ("~lanes-00000001", &[5120..5152, 5152..5184]),
];

// layout: L009 L323
pub fn each_word_of_sources(places: Places) {
    each_word(places, |section, change| {
        let name = unique("hostile-sources");
        let options = Receiver::options().capacity(4096).senders(4);
        let mut receiver = options.create(name.as_str()).unwrap();
        let open_key = |key| Sender::options().source(key).open(name.as_str());
        let mut sender = open_key(1).unwrap();
        sender.send_numbered(10, b"ten").unwrap();
        sender.send_numbered(11, b"eleven").unwrap();
        let mut other = open_key(2).unwrap();
        other.send_numbered(20, b"twenty").unwrap();
        drop(other);

        let receive = |receiver: &mut Receiver| {
            for _ in 0..LOOKS {
                if settled(receiver.try_recv()) {
                    break;
                }
            }
        };
        let use_keys = || {
            for key in 1..4 {
                let opened = open_key(key);
                let _ = opened.map(|mut late| late.try_send_numbered(30, b"late").is_ok());
            }
        };
        change(&open(&name, section));
        let _ = sender.try_send_numbered(12, b"twelve");
        let _ = sender.last_number();
        drop(sender);
        use_keys();
        receive(&mut receiver);
        let _ = receiver.resize(&options);
        receive(&mut receiver);
        if !starts_like_raw(&name) {
            use_keys();
            let _holder = Sender::open(name.as_str());
            drop(receiver);
            if let Ok(mut next) = options.create(name.as_str()) {
                receive(&mut next);
                use_keys();
            }
        }
    });
}
