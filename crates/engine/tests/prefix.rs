//! Prompts that begin alike are computed once: what each turn of a chat computes, on models that see everything, models with
//! windows and models with states.

mod common;
#[path = "../../model/tests/common/mod.rs"]
mod models;

use happy_engine::{Context, Engine, LoadOptions, PrefixTree};

fn context(name: &str, branches: usize, branch_bytes: usize) -> Context {
    several(name, 1, branches, branch_bytes)
}

fn several(name: &str, sequences: usize, branches: usize, branch_bytes: usize) -> Context {
    let recipe = models::recipes::named(&[name]).remove(0);
    let options = LoadOptions {
        threads: Some(1),
        batch: 64,
        context: Some(512),
        sequences,
        branches,
        branch_bytes,
        snapshot_bytes: 32 << 20,
        ..LoadOptions::default()
    };
    let file = models::recipes::build(&recipe);
    Engine::new(file, name.to_owned(), &options).unwrap().context().unwrap()
}

/// A chat whose messages are lists of tokens, rendered between headers of four tokens.
#[derive(Clone, Default)]
struct Chat(Vec<Vec<u32>>);

const USER: [u32; 4] = [4, 5, 6, 7];
const ASSISTANT: [u32; 4] = [8, 9, 10, 7];

impl Chat {
    fn prompt(&self) -> Vec<u32> {
        let mut ids = vec![1];
        for (i, message) in self.0.iter().enumerate() {
            ids.extend(if i % 2 == 0 { USER } else { ASSISTANT });
            ids.extend(message);
        }
        ids.extend(ASSISTANT);
        ids
    }

    /// Asks, answers, and returns how many tokens of the prompt were computed, and the logits after the prompt.
    fn turn(&mut self, context: &mut Context, tree: &mut PrefixTree, question: &[u32]) -> (usize, Vec<u32>) {
        self.0.push(question.to_vec());
        self.answer(context, tree)
    }

    fn answer(&mut self, context: &mut Context, tree: &mut PrefixTree) -> (usize, Vec<u32>) {
        let prompt = self.prompt();
        let reused = tree.prepare(context, 0, &prompt).unwrap();
        assert_eq!(context.tokens(0), &prompt[..reused]);
        let logits = bits(context.prefill(0, &prompt[reused..]).unwrap());
        let answer: Vec<u32> = (0..15).map(|i| 11 + (self.0.len() as u32 * 7 + i * 3) % 40).collect();
        for token in &answer {
            context.step(0, *token).unwrap();
        }
        // As a generation does where its answer ends.
        context.snapshot(0).unwrap();
        self.0.push(answer);
        (prompt.len() - reused, logits)
    }
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|x| x.to_bits()).collect()
}

fn question(seed: u32, n: u32) -> Vec<u32> {
    (0..n).map(|i| 11 + (seed * 13 + i * 5) % 40).collect()
}

/// Ten turns: an edit at the third question, two answers again, and back to the first branch.
#[test]
fn every_turn_computes_what_no_branch_holds() {
    // What a model that sees everything computes in each turn; one with windows or states begins at the snapshot before, which is
    // where the last answer ended: the header of the question is computed again.
    for (name, again) in [("llama", 0), ("gemma3", 4), ("lfm2", 4), ("mamba2", 4)] {
        let mut context = context(name, 3, 8 << 20);
        let mut tree = PrefixTree::new(&context);
        let mut fresh = self::context(name, 0, 0);
        let mut chat = Chat::default();
        let mut counts = Vec::new();
        let mut check = |chat: &mut Chat, asked: Option<&[u32]>, tree: &mut PrefixTree| {
            let (computed, logits) = match asked {
                Some(asked) => chat.turn(&mut context, tree, asked),
                None => chat.answer(&mut context, tree),
            };
            counts.push(computed);
            fresh.truncate(0, 0).unwrap();
            let prompt = Chat(chat.0[..chat.0.len() - 1].to_vec()).prompt();
            assert!(bits(fresh.prefill(0, &prompt).unwrap()) == logits, "{name}: turn {}", counts.len());
        };
        for i in 0..4 {
            check(&mut chat, Some(&question(i, 20)), &mut tree);
        }
        // The fourth answer again.
        chat.0.pop();
        check(&mut chat, None, &mut tree);
        let first = chat.clone();
        // The third question otherwise, from its first token on.
        chat.0.truncate(4);
        check(&mut chat, Some(&question(77, 9)), &mut tree);
        check(&mut chat, Some(&question(78, 20)), &mut tree);
        // That answer again, and on.
        chat.0.pop();
        check(&mut chat, None, &mut tree);
        check(&mut chat, Some(&question(79, 20)), &mut tree);
        // Back to what was said before the edit.
        let mut chat = first;
        check(&mut chat, Some(&question(80, 20)), &mut tree);
        let turn = 4 + 20 + 4;
        let expected = [1 + turn, turn, turn, turn, 1, 9 + 4 + again, turn, 1, turn, turn];
        assert_eq!(counts, expected, "{name}");
        let stats = tree.stats();
        assert_eq!((stats.prompts, stats.tokens - stats.reused), (10, expected.iter().sum::<usize>() as u64));
        assert_eq!(stats.evicted, 0, "{name}");
    }
}

/// Chats that share a system prompt compute it once; what is pinned stays when everything else goes.
#[test]
fn pinned_prefixes_stay_and_others_go_by_age() {
    for name in ["llama", "lfm2"] {
        let mut context = context(name, 3, 8 << 20);
        let mut tree = PrefixTree::new(&context);
        let system: Vec<u32> = (0..100).map(|i| 11 + i * 3 % 40).collect();
        context.prefill(0, &system).unwrap();
        assert!(tree.pin(&mut context, 0).unwrap(), "{name}");
        let mut used = 0;
        for chat in 0..8 {
            let prompt = [&system[..], &question(chat, 30)].concat();
            let reused = tree.prepare(&mut context, 0, &prompt).unwrap();
            assert_eq!(reused, 100, "{name}: chat {chat}");
            context.prefill(0, &prompt[reused..]).unwrap();
            context.snapshot(0).unwrap();
            used = used.max(context.kv_resident_bytes());
        }
        // The last three chats: one is in the sequence, two are branches beside the pinned one.
        assert_eq!((tree.len(), tree.stats().evicted), (3, 5), "{name}");
        for (chat, expected) in [(7, 130), (6, 130), (0, 100)] {
            let prompt = [&system[..], &question(chat, 30), &[5]].concat();
            let reused = tree.prepare(&mut context, 0, &prompt).unwrap();
            assert_eq!(reused, expected, "{name}: chat {chat} again");
        }
        // A budget of nothing leaves what is pinned.
        tree.set_budget(&mut context, 0).unwrap();
        assert_eq!(tree.len(), 1, "{name}");
        assert!(context.kv_resident_bytes() < used);
        let prompt = [&system[..], &[9]].concat();
        context.truncate(0, 0).unwrap();
        assert_eq!(tree.prepare(&mut context, 0, &prompt).unwrap(), 100, "{name}");
        tree.unpin();
        tree.set_budget(&mut context, 0).unwrap();
        assert!(tree.is_empty());
        context.truncate(0, 0).unwrap();
        assert_eq!(tree.prepare(&mut context, 0, &prompt).unwrap(), 0, "{name}");
        assert_eq!(context.kv_resident_bytes(), 0, "{name}: nothing is left behind");
    }
}

/// What one sequence holds is there for another one, and stays where it is.
#[test]
fn a_sequence_begins_with_what_another_one_holds() {
    for name in ["llama", "gemma3", "lfm2", "mamba2"] {
        let mut context = several(name, 2, 2, 8 << 20);
        let mut tree = PrefixTree::new(&context);
        let (system, end) = (question(1, 300), question(2, 30));
        context.prefill(0, &system).unwrap();
        context.snapshot(0).unwrap();
        context.prefill(0, &end).unwrap();
        let prompt = [&system[..], &question(5, 30)].concat();
        let held = tree.held(&context, 1, &prompt).unwrap();
        assert_eq!((held.reachable, held.common), (300, 300), "{name}");
        assert_eq!(tree.prepare(&mut context, 1, &prompt).unwrap(), 300, "{name}");
        assert_eq!(context.tokens(0).len(), 330, "{name}");
        let logits = bits(context.prefill(1, &prompt[300..]).unwrap());
        let mut fresh = self::context(name, 0, 0);
        assert!(bits(fresh.prefill(0, &prompt).unwrap()) == logits, "{name}");
        // A model with states has no snapshot where the prompts part.
        let other = [&context.tokens(0)[..310], &[3; 20]].concat();
        let held = tree.held(&context, 1, &other).unwrap();
        let reachable = if ["llama", "gemma3"].contains(&name) { 310 } else { 300 };
        assert_eq!((held.reachable, held.common), (reachable, 310), "{name}");
        // Nothing was lost, so nothing became a branch; what is kept on purpose does, the last one first.
        assert!(tree.is_empty(), "{name}");
        assert!(tree.keep(&mut context, 0).unwrap() && tree.keep(&mut context, 1).unwrap());
        assert_eq!(tree.branches().unwrap(), [3, 2], "{name}");
    }
}

/// Branches give way to a sequence that grows to the end of its context.
#[test]
fn branches_never_take_the_room_of_a_sequence() {
    let mut context = context("llama", 3, 1);
    let mut tree = PrefixTree::new(&context);
    for chat in 0..4 {
        let prompt = question(chat, 200);
        let reused = tree.prepare(&mut context, 0, &prompt).unwrap();
        context.prefill(0, &prompt[reused..]).unwrap();
    }
    let prompt = question(3, 40);
    let reused = tree.prepare(&mut context, 0, &prompt).unwrap();
    context.prefill(0, &[&prompt[reused..], &question(9, 472)].concat()).unwrap();
    assert_eq!(context.tokens(0).len(), 512);
}
