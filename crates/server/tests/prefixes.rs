//! What prompts have in common is computed once, whoever computed it: how many tokens each request reports as cached, on models that
//! see everything, models with windows and models with states.

mod client;
#[path = "../../engine/tests/common/mod.rs"]
mod common;
#[path = "../../model/tests/common/mod.rs"]
mod models;

use client::{Running, request};
use happy_engine::{Engine, GenerateOptions, LoadOptions};
use happy_server::Server;
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

const ALL: [&str; 4] = ["llama", "gemma3", "lfm2", "mamba2"];

/// The character of a token: the first three are control tokens.
fn letter(token: u32) -> char {
    char::from_u32(0x4E00 + token).unwrap()
}

/// A model of the recipes, with a tokenizer.
fn engine(name: &str, load: &LoadOptions) -> Engine {
    // The corpus is read once.
    static RECIPES: LazyLock<Vec<Json>> = LazyLock::new(|| models::recipes::named(&ALL));
    let mut recipe = RECIPES.iter().find(|recipe| recipe["name"] == name).unwrap().clone();
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    tokens.extend((3..128).map(|token| letter(token).to_string()));
    let types: Vec<i32> = [2, 3, 3].into_iter().chain([1; 125]).collect();
    recipe["metadata"].as_array_mut().unwrap().extend([
        json!(["tokenizer.ggml.model", "string", "llama"]),
        json!(["tokenizer.ggml.tokens", "array:string", tokens]),
        json!(["tokenizer.ggml.scores", "array:float32", vec![0.0; 128]]),
        json!(["tokenizer.ggml.token_type", "array:int32", types]),
    ]);
    Engine::new(models::recipes::build(&recipe), name.to_owned(), load).unwrap()
}

fn serve(name: &str, load: &LoadOptions) -> (Running, Engine) {
    let engine = engine(name, load);
    let server = Server::bind(engine.clone(), None, client::options()).unwrap();
    (client::start(server, common::Folder::new(&format!("server-prefix-{name}"))), engine)
}

fn load(sequences: usize, branches: usize) -> LoadOptions {
    LoadOptions { branches, branch_bytes: 8 << 20, ..client::load(sequences, 512) }
}

/// `n` tokens that begin otherwise for each seed.
fn text(seed: u32, n: u32) -> Vec<u32> {
    std::iter::once(3 + seed).chain((1..n).map(|i| 40 + (seed * 13 + i * 5) % 80)).collect()
}

fn body(prompt: &[u32]) -> Json {
    let never = json!({ "0": -100, "1": -100, "2": -100 });
    json!({ "prompt": prompt, "max_tokens": 5, "temperature": 0, "ignore_eos": true, "logit_bias": never })
}

/// The tokens of an answer, and how many of the prompt were cached.
fn read(answer: &client::Response) -> (Vec<u32>, u64) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    let text = answer["choices"][0]["text"].as_str().unwrap();
    let cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    (text.chars().map(|c| c as u32 - 0x4E00).collect(), cached)
}

fn ask(server: &Running, prompt: &[u32]) -> (Vec<u32>, u64) {
    read(&server.post("/v1/completions", &body(prompt)))
}

/// Sends a request whose answer is streamed, and reads none of it.
fn begin(server: &Running, mut body: Json) -> std::net::TcpStream {
    body["stream"] = true.into();
    let mut stream = server.connect();
    stream.write_all(request("POST", "/v1/completions", "", &body.to_string()).as_bytes()).unwrap();
    stream
}

fn wait_for(server: &Running, metric: &str, n: u64) {
    let started = Instant::now();
    while server.metric(metric) != n {
        assert!(started.elapsed() < Duration::from_secs(60), "{metric} is {}", server.metric(metric));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A model with windows or states cannot go back to where the first two prompts part: the second one takes a snapshot there.
#[test]
fn a_system_prompt_is_computed_once() {
    for (name, second) in ALL.into_iter().zip([100, 0, 0, 0]) {
        let (server, _) = serve(name, &load(2, 4));
        let (alone, _) = serve(name, &load(1, 0));
        let system = text(0, 100);
        for (chat, expected) in (1..).zip([0, second, 100, 100, 100]) {
            let prompt = [system.as_slice(), &text(chat, 200)].concat();
            let (answer, cached) = ask(&server, &prompt);
            assert_eq!(cached, expected, "{name}: chat {chat}");
            // Without slots and branches beside it, nothing but the last chat is there.
            assert_eq!(answer, ask(&alone, &prompt).0, "{name}: chat {chat}");
        }
        assert_eq!(server.metric("prompt_tokens_cached_total"), 300 + second, "{name}");
    }
}

#[test]
fn a_conversation_goes_on_and_back() {
    for name in ALL {
        let (server, _) = serve(name, &load(1, 2));
        let first = text(1, 100);
        let (answer, cached) = ask(&server, &first);
        assert_eq!((answer.len(), cached), (5, 0), "{name}");
        // The last token of an answer is not computed.
        let next = [first.as_slice(), &answer, &text(2, 20)].concat();
        let (after, cached) = ask(&server, &next);
        assert_eq!(cached, 104, "{name}: goes on");
        // Another answer to the first question: all but the last token of the prompt.
        assert_eq!(ask(&server, &first), (answer, 99), "{name}: goes back");
        assert_eq!(ask(&server, &next), (after, 124), "{name}: goes on again");
    }
}

/// What a slot computes is there for the others while it goes on.
#[test]
fn a_busy_slot_shares_its_prompt() {
    for (name, first) in ALL.into_iter().zip([100, 0, 0, 0]) {
        let (server, _) = serve(name, &LoadOptions { context: Some(16_384), ..load(2, 2) });
        let system = text(0, 100);
        let prompt = |chat| [system.as_slice(), &text(chat, 200)].concat();
        let mut long = body(&prompt(1));
        long["max_tokens"] = 16_000.into();
        let mut stream = begin(&server, long);
        stream.read_exact(&mut [0; 600]).unwrap();
        assert_eq!(ask(&server, &prompt(2)).1, first, "{name}");
        assert_eq!(ask(&server, &prompt(3)).1, 100, "{name}");
        assert_eq!(server.metric("generations_running"), 1, "{name}: the first one has ended");
        drop(stream);
        wait_for(&server, "generations_running", 0);
    }
}

/// A prompt waits for the slot that computes its beginning, and computes the rest; the first one is not held up.
#[test]
fn prompts_that_come_together_are_computed_once() {
    for name in ALL {
        let (server, engine) = serve(name, &load(3, 2));
        let (alone, _) = serve(name, &load(1, 0));
        // After a pass of 32 rows, the others wait for two more.
        let prompt = |chat| [text(0, 90), text(chat, 60)].concat();
        engine.pause();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| ask(&server, &prompt(1)));
            wait_for(&server, "generations_running", 1);
            let others = [2, 3].map(|chat| {
                let server = &server;
                scope.spawn(move || ask(server, &prompt(chat)))
            });
            wait_for(&server, "generations_waiting", 2);
            engine.resume();
            assert_eq!(first.join().unwrap(), (ask(&alone, &prompt(1)).0, 0), "{name}");
            for (chat, other) in [2, 3].into_iter().zip(others) {
                assert_eq!(other.join().unwrap(), (ask(&alone, &prompt(chat)).0, 90), "{name}: {chat}");
            }
        });
    }
}

/// Several answers to one prompt compute it once.
#[test]
fn choices_share_their_prompt() {
    for name in ALL {
        let mut body = body(&text(1, 150));
        (body["n"], body["seed"], body["temperature"]) = (4.into(), 7.into(), 1.into());
        let texts = |server: &Running| {
            let answer = server.post("/v1/completions", &body);
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.json()["choices"].to_string()
        };
        let (alone, _) = serve(name, &load(1, 0));
        let (server, _) = serve(name, &load(4, 0));
        assert_eq!(texts(&server), texts(&alone), "{name}");
        for server in [alone, server] {
            assert_eq!(server.metric("prompt_tokens_total"), 4 * 150, "{name}");
            assert_eq!(server.metric("prompt_tokens_cached_total"), 3 * 149, "{name}");
        }
    }
}

#[test]
fn the_oldest_prompts_go() {
    let cases = [
        // There is one branch, which the first prompt takes and is used from: no place for the second one.
        ("llama", load(1, 1), [0, 0, 99, 0]),
        ("lfm2", load(1, 1), [0, 0, 99, 0]),
        ("llama", load(1, 2), [0, 0, 99, 99]),
        ("lfm2", load(1, 2), [0, 0, 99, 99]),
        // There are branches, but no memory beside what the slot may need.
        ("llama", LoadOptions { context: Some(256), branch_bytes: 1, ..load(1, 3) }, [0; 4]),
        ("llama", load(1, 0), [0; 4]),
    ];
    for (name, load, expected) in cases {
        let (server, _) = serve(name, &load);
        let cached = [1, 2, 1, 2].map(|seed| ask(&server, &text(seed, 100)).1);
        assert_eq!(cached, expected, "{name}: {load:?}");
    }
}

/// Two answers that fill their contexts need the pages of all branches: neither of them can know that when it begins.
#[test]
fn branches_give_way_to_answers() {
    let (server, engine) = serve("llama", &LoadOptions { context: Some(256), branch_bytes: 1, ..load(2, 4) });
    for seed in [1, 2] {
        ask(&server, &text(seed, 100));
    }
    engine.pause();
    std::thread::scope(|scope| {
        let begin = |seed| {
            let mut body = body(&text(seed, 100));
            body["max_tokens"] = 200.into();
            let server = &server;
            scope.spawn(move || read(&server.post("/v1/completions", &body)).0.len())
        };
        let first = begin(3);
        wait_for(&server, "generations_running", 1);
        let answers = [first, begin(4)];
        wait_for(&server, "generations_waiting", 1);
        engine.resume();
        // The token that does not fit any more is chosen, too.
        assert_eq!(answers.map(|answer| answer.join().unwrap()), [157, 157]);
    });
}

/// A client leaves while its prompt is computed and another one waits for that.
#[test]
fn who_waits_for_a_prompt_that_is_cut_off_goes_on() {
    for name in ALL {
        let (server, engine) = serve(name, &load(2, 2));
        let (alone, _) = serve(name, &load(1, 0));
        let prompt = [text(0, 300), text(1, 20)].concat();
        engine.pause();
        std::thread::scope(|scope| {
            let leader = begin(&server, body(&[text(0, 300), text(2, 150)].concat()));
            wait_for(&server, "generations_running", 1);
            let follower = scope.spawn(|| ask(&server, &prompt));
            wait_for(&server, "generations_waiting", 1);
            drop(leader);
            engine.resume();
            let (answer, cached) = follower.join().unwrap();
            assert_eq!(answer, ask(&alone, &prompt).0, "{name}");
            // What the leader computed until the server noticed; nothing if it was the first pass, which ended then.
            assert!(cached <= 300, "{name}: {cached}");
        });
        assert_eq!((server.metric("generations_running"), server.metric("generations_waiting")), (0, 0));
        // A client that leaves while it waits takes nothing with it.
        engine.pause();
        let leader = begin(&server, body(&[text(5, 300), text(2, 20)].concat()));
        wait_for(&server, "generations_running", 1);
        let follower = begin(&server, body(&[text(5, 300), text(3, 20)].concat()));
        wait_for(&server, "generations_waiting", 1);
        drop(follower);
        engine.resume();
        wait_for(&server, "generations_waiting", 0);
        drop(leader);
        wait_for(&server, "generations_running", 0);
        assert_eq!(ask(&server, &prompt).0, ask(&alone, &prompt).0, "{name}");
    }
}

/// A model that nobody asks holds no keys, values and states, and then answers as before. The bytes are those that the engine counts.
#[test]
fn an_idle_model_gives_its_memory_back() {
    for name in ALL {
        let engine = engine(name, &load(2, 2));
        let run = |idle_trim| {
            let mut options = client::options();
            options.idle_trim = idle_trim;
            let folder = common::Folder::new(&format!("server-idle-{name}"));
            client::start(Server::bind(engine.clone(), None, options).unwrap(), folder)
        };
        let (stays, trims) = (run(None), run(Some(Duration::from_millis(1))));
        let held = |server: &Running| [server.metric("kv_bytes"), server.metric("idle_trims_total")];
        assert_eq!((held(&stays), held(&trims)), ([0, 0], [0, 0]), "{name}: nothing is held at first");
        let prompt = text(1, 100);
        let answer = ask(&stays, &prompt).0;
        let mut alone = engine.context().unwrap();
        let once = GenerateOptions { max_tokens: Some(5), ignore_end: true, ..Default::default() };
        let prepared = alone.prepare(0, &prompt, once).unwrap();
        prepared.run(&mut alone).try_for_each(|event| event.map(drop)).unwrap();
        assert!(alone.kv_held_bytes() > 0, "{name}");
        assert_eq!(held(&stays), [alone.kv_held_bytes() as u64, 0], "{name}");
        for asked in 1..4 {
            assert_eq!(ask(&trims, &prompt), (answer.clone(), 0), "{name}");
            // Once after each answer, and no more.
            wait_for(&trims, "idle_trims_total", asked);
            assert_eq!(held(&trims), [0, asked], "{name}");
        }
        assert_eq!(ask(&stays, &prompt), (answer, 99), "{name}");
    }
}

/// What a restart finds: the slots' contexts and the branches.
#[test]
fn slots_and_branches_survive_a_restart() {
    let sessions = common::Folder::new("server-prefix-sessions");
    for name in ["llama", "lfm2"] {
        let run = || {
            let engine = engine(name, &load(1, 3));
            let mut options = client::options();
            (options.sessions, options.model_name) = (Some(sessions.0.clone()), name.to_owned());
            let folder = common::Folder::new(&format!("server-prefix-{name}"));
            client::start(Server::bind(engine, None, options).unwrap(), folder)
        };
        let first = run();
        let next: Vec<Vec<u32>> = (1..4)
            .map(|seed| {
                let prompt = text(seed, 100);
                let (answer, cached) = ask(&first, &prompt);
                assert_eq!(cached, 0, "{name}");
                [prompt, answer].concat()
            })
            .collect();
        drop(first);
        let second = run();
        for prompt in &next {
            assert_eq!(ask(&second, prompt).1, 104, "{name}");
        }
        let restored = second.metric("contexts_restored_total");
        assert_eq!((restored, second.metric("contexts_refused_total")), (3, 0), "{name}");
    }
}
