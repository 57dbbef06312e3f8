//! Conversations on a small model: what is prefilled, and what a reply with control tokens gives.

mod common;

use happy_engine::chat::{Message, Reply, ReplyFormat};
use happy_engine::{
    Context, Conversation, ConversationOptions, Event, Finish, FinishReason, GenerateOptions, LoadOptions,
};
use serde_json::json;

/// Control tokens, after the 256 bytes.
const CONTROL: [&str; 3] = ["<tool_call>", "</tool_call>", "<|other|>"];
/// Reasoning is shown only after the last question, as most templates do it.
const TEMPLATE: &str = "\
{%- set ns = namespace(last=0) -%}
{%- for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor -%}
{%- for m in messages -%}
[{{ m.role }}]
{%- if m.reasoning_content and loop.index0 > ns.last %}<think>{{ m.reasoning_content }}</think>{% endif -%}
{{ m.content }}{% for c in m.tool_calls %}<tool_call>{{ c.function|tojson }}</tool_call>{% endfor -%}
{%- endfor -%}
{%- if add_generation_prompt %}[assistant]{% endif -%}";

fn context() -> Context {
    let options = LoadOptions { threads: Some(2), batch: 16, context: Some(400), ..LoadOptions::default() };
    common::engine_with(&options, TEMPLATE, &CONTROL).unwrap().context().unwrap()
}

fn saying(text: &str) -> GenerateOptions {
    common::script::saying(text, &CONTROL)
}

/// Answers, adds the answer to the conversation; how many tokens were kept, the end, and the reply.
fn answer(conversation: &mut Conversation, context: &mut Context, text: &str) -> (usize, Finish, Reply) {
    let answer = conversation.answer(context, 0, saying(text)).unwrap();
    let (reused, prefill) = (answer.reused(), answer.prefill());
    let events: Vec<Event> = answer.map(Result::unwrap).collect();
    let total = events.iter().find_map(|event| match event {
        Event::Prefill { done, total } if done == total => Some(*total),
        _ => None,
    });
    let [.., Event::Reply(reply), Event::Done(finish)] = events.as_slice() else {
        panic!("the last events are Reply and Done: {events:?}")
    };
    let (finish, reply) = (finish.clone(), reply.clone());
    assert_eq!((total, finish.prompt_tokens, finish.reused_tokens), (Some(prefill), prefill, reused));
    conversation.push(reply.message().unwrap());
    (reused, finish, reply)
}

#[test]
fn only_what_is_new_is_prefilled() {
    let mut context = context();
    let mut conversation = Conversation::new(context.engine()).unwrap();
    // A token is a byte.
    let length = |conversation: &Conversation| conversation.prompt().unwrap().len() + 1; // and BOS

    conversation.push(Message::new("user", "hello"));
    let first = length(&conversation);
    let (reused, finish, reply) = answer(&mut conversation, &mut context, "Hi!");
    assert_eq!((reused, finish.prompt_tokens, reply.content.as_str()), (0, first, "Hi!"));

    // Everything up to the end of the answer is there: "[user]more[assistant]" is new.
    conversation.push(Message::new("user", "more"));
    let (reused, finish, _) = answer(&mut conversation, &mut context, "<think>so</think>Yes.");
    assert_eq!((reused, finish.prompt_tokens), (first + 3, "[user]more[assistant]".len()));

    // The reasoning is not rendered again: the answer's text and the new turn are computed.
    conversation.push(Message::new("user", "and?"));
    let kept = first + 3 + "[user]more[assistant]".len();
    let (reused, finish, _) = answer(&mut conversation, &mut context, "No.");
    assert_eq!((reused, finish.prompt_tokens), (kept, "Yes.[user]and?[assistant]".len()));

    // The same prompt again: its last token has to be computed for its logits.
    let messages = &mut conversation.input_mut().messages;
    messages.truncate(messages.len() - 1);
    let (reused, finish, _) = answer(&mut conversation, &mut context, "No.");
    assert_eq!((reused + 1, finish.prompt_tokens), (kept + "Yes.[user]and?[assistant]".len(), 1));
}

#[test]
fn markers_that_are_control_tokens_reach_the_parser_and_nobody_else() {
    let mut context = context();
    let engine = context.engine().clone();
    // Calls are constrained, and a control token that is not a marker has no place in them.
    let mut conversation = Conversation::new(&engine).unwrap();
    conversation.push(Message::new("user", "go"));
    let (.., reply) = answer(&mut conversation, &mut context, "<think>h<|other|>m</think>O<|other|>k.");
    assert_eq!((reply.content.as_str(), reply.reasoning.as_str()), ("Ok.", "hm"));

    let parameters = json!({"type": "object", "properties": {"é": {"type": "integer"}}});
    let tools = vec![json!({"name": "f", "parameters": parameters})];
    // The template shows no tools.
    let options = ConversationOptions { tools: Some(tools), ignore_unused: true, ..Default::default() };
    let mut conversation = Conversation::with_options(&engine, options).unwrap();
    assert_eq!(conversation.format(), ReplyFormat::Hermes);
    conversation.push(Message::new("user", "go"));
    let text = "<think>hm</think>Ok.<tool_call>{\"name\": \"f\", \"arguments\": {\"é\": 1}}</tool_call>";
    let mut content = String::new();
    for event in conversation.answer(&mut context, 0, saying(text)).unwrap() {
        if let Event::Text(piece) = event.unwrap() {
            content.push_str(&piece);
        }
    }
    assert_eq!(content, "Ok.");
    let (_, finish, reply) = answer(&mut conversation, &mut context, text);
    assert_eq!(finish.reason, FinishReason::EndOfGeneration(2));
    assert_eq!(
        conversation.input().messages.last(),
        Some(&json!({
            "role": "assistant",
            "content": "Ok.",
            "reasoning_content": "hm",
            "tool_calls": [{
                "id": "call00000",
                "type": "function",
                "function": {"name": "f", "arguments": {"é": 1}},
            }],
        }))
    );
    assert!(reply.malformed.is_empty());
    // Without showing them, generated text has no markers.
    let prompt = engine.encode_prompt("go").unwrap();
    context.truncate(0, 0).unwrap();
    let mut plain = String::new();
    for event in context.generate(0, &prompt, saying("a<tool_call>b")).unwrap() {
        if let Event::Text(piece) = event.unwrap() {
            plain.push_str(&piece);
        }
    }
    assert_eq!(plain, "ab");
}
