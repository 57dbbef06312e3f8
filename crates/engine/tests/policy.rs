//! A conversation that outgrows its context.

mod common;

use happy_engine::chat::Message;
use happy_engine::{ContextPolicy, Conversation, ConversationOptions, EngineError, LoadOptions};

const TEMPLATE: &str = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";

/// Has `n` turns of about 64 tokens. For each turn: how many messages each prompt left out, and how many tokens were reused.
fn turns(policy: ContextPolicy, n: usize) -> Result<Vec<(usize, usize)>, EngineError> {
    let options = LoadOptions { threads: Some(1), batch: 64, context: Some(512), ..LoadOptions::default() };
    let mut context = common::engine_with(&options, TEMPLATE, &[]).unwrap().context().unwrap();
    let options = ConversationOptions { system: Some("Be brief.".into()), policy, ..Default::default() };
    let mut conversation = Conversation::with_options(context.engine(), options).unwrap();
    let mut found = Vec::new();
    for i in 0..n {
        conversation.push(Message::new("user", format!("{i:02} {}", "what? ".repeat(5))));
        let dropped = conversation.answer(&mut context, 0, common::script::saying("Yes.", &[]))?.dropped();
        let (reused, finish, reply) =
            common::script::answer(&conversation, &mut context, common::script::saying("Yes.", &[]))?;
        assert_eq!(context.tokens(0).len(), conversation.prompt_ids()?.len() + 4, "turn {i}: {finish:?}");
        let room = if policy == ContextPolicy::Stop { 0 } else { 512 / 8 };
        assert!(context.tokens(0).len() <= 512 - room + 4);
        conversation.push(reply.message().unwrap());
        found.push((dropped, reused));
    }
    assert_eq!(conversation.input().messages.len(), 1 + 2 * n, "the conversation keeps all messages");
    Ok(found)
}

#[test]
fn the_oldest_turns_are_left_out_in_steps_and_told() {
    let found = turns(ContextPolicy::DropOldest, 20).unwrap();
    let dropped: Vec<usize> = found.iter().map(|(dropped, _)| *dropped).collect();
    assert!(dropped[..6].iter().all(|n| *n == 0) && dropped.is_sorted(), "{dropped:?}");
    assert!(dropped.iter().all(|n| n % 2 == 0), "whole turns: {dropped:?}");
    let moves = dropped.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // Three eighths of the context are three turns, and the seventh turn is the first without room.
    assert!((4..=5).contains(&moves) && dropped[19] >= 26, "{dropped:?}");
    // While the cut stays, only what is new is computed.
    for pair in found.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        assert!(pair[1].1 > pair[0].1, "{found:?}");
    }
}

#[test]
fn without_a_policy_a_full_context_is_an_error() {
    let error = turns(ContextPolicy::Stop, 12).unwrap_err();
    assert!(matches!(error, EngineError::PromptTooLong { context: 512, .. }), "{error}");
}
