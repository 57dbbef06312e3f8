/// The page: messages, a line to write in, and what it all takes.
library;

import 'dart:async';

import 'package:flutter/material.dart';
import 'package:happy_phone_llm/happy_phone_llm.dart';

import 'chat.dart';
import 'model_sheet.dart';
import 'sizes.dart';

/// Shows [chat].
class ChatPage extends StatefulWidget {
  const ChatPage({required this.chat, super.key});

  /// The conversation.
  final Chat chat;

  @override
  State<ChatPage> createState() => _ChatPageState();
}

class _ChatPageState extends State<ChatPage> {
  final TextEditingController _text = TextEditingController();

  Chat get _chat => widget.chat;

  @override
  void dispose() {
    _text.dispose();
    super.dispose();
  }

  Future<void> _choose() async {
    final path = await ModelSheet.show(context);
    if (path == null) return;
    try {
      await _chat.load(path);
    } on Object catch (failure) {
      _chat.showError('$failure');
    }
  }

  void _send() {
    final text = _text.text.trim();
    if (text.isEmpty || !_chat.isReady) return;
    _text.clear();
    _chat.send(text);
  }

  @override
  Widget build(BuildContext context) {
    return ListenableBuilder(listenable: _chat, builder: (context, _) => _page(context));
  }

  Widget _page(BuildContext context) {
    final error = _chat.error;
    final loading = _chat.loading;
    return Scaffold(
      appBar: AppBar(
        title: Text(_chat.modelName ?? 'Happy chat'),
        actions: [
          IconButton(
            tooltip: 'New conversation',
            onPressed: _chat.isReady ? () => unawaited(_chat.clear()) : null,
            icon: const Icon(Icons.restart_alt),
          ),
          IconButton(
            tooltip: 'Choose a model',
            onPressed: loading == null && !_chat.isAnswering ? () => unawaited(_choose()) : null,
            icon: const Icon(Icons.memory),
          ),
        ],
      ),
      body: SafeArea(
        child: Column(
          children: [
            if (error != null)
              MaterialBanner(
                content: Text(error),
                leading: const Icon(Icons.error_outline),
                actions: [TextButton(onPressed: _chat.dismissError, child: const Text('Dismiss'))],
              ),
            if (loading != null)
              ListTile(
                title: LinearProgressIndicator(value: loading),
                trailing: TextButton(onPressed: _chat.cancelLoading, child: const Text('Cancel')),
              ),
            Expanded(child: _messages(context)),
            if (_chat.prefill case final double prefill) LinearProgressIndicator(value: prefill),
            _StatusLine(memory: _chat.memory, finish: _chat.finish),
            _writing(),
          ],
        ),
      ),
    );
  }

  Widget _messages(BuildContext context) {
    final messages = _chat.messages;
    if (messages.isEmpty) {
      final hint = _chat.modelName == null ? 'Choose a model to begin.' : 'Say something.';
      return Center(child: Text(hint));
    }
    // From the bottom up, so that the newest stays in sight.
    return ListView.builder(
      reverse: true,
      padding: const EdgeInsets.all(12),
      itemCount: messages.length,
      itemBuilder: (context, index) => _Bubble(message: messages[messages.length - 1 - index]),
    );
  }

  Widget _writing() {
    return Padding(
      padding: const EdgeInsets.fromLTRB(12, 0, 12, 12),
      child: Row(
        children: [
          Expanded(
            child: TextField(
              controller: _text,
              minLines: 1,
              maxLines: 5,
              decoration: const InputDecoration(hintText: 'Message', border: OutlineInputBorder()),
              onSubmitted: (_) => _send(),
            ),
          ),
          const SizedBox(width: 8),
          if (_chat.isAnswering)
            IconButton.filled(tooltip: 'Stop', onPressed: _chat.stop, icon: const Icon(Icons.stop))
          else
            IconButton.filled(
              tooltip: 'Send',
              onPressed: _chat.isReady ? _send : null,
              icon: const Icon(Icons.send),
            ),
        ],
      ),
    );
  }
}

/// One message.
class _Bubble extends StatelessWidget {
  const _Bubble({required this.message});

  final ChatMessage message;

  @override
  Widget build(BuildContext context) {
    final theme = Theme.of(context);
    final colors = theme.colorScheme;
    return Align(
      alignment: message.isUser ? Alignment.centerRight : Alignment.centerLeft,
      child: Card(
        color: message.isUser ? colors.primaryContainer : colors.surfaceContainerHighest,
        child: Padding(
          padding: const EdgeInsets.all(12),
          child: Column(
            crossAxisAlignment: CrossAxisAlignment.start,
            children: [
              if (message.reasoning.isNotEmpty)
                Text(message.reasoning, style: theme.textTheme.bodySmall?.copyWith(fontStyle: FontStyle.italic)),
              SelectableText(message.text.isEmpty ? '…' : message.text),
            ],
          ),
        ),
      ),
    );
  }
}

/// What the process takes, and how fast the last answer was.
class _StatusLine extends StatelessWidget {
  const _StatusLine({required this.memory, required this.finish});

  final HappyMemory? memory;
  final HappyFinish? finish;

  @override
  Widget build(BuildContext context) {
    final memory = this.memory;
    final finish = this.finish;
    final parts = [
      if (memory != null) ...[
        '${sized(memory.processAnonBytes)} own memory',
        '${sized(memory.processFileBytes)} mapped',
        'KV ${sized(memory.kvResidentBytes)}, ${memory.positions} tokens',
      ],
      if (finish != null) ...[
        'prompt ${finish.prefillRate.toStringAsFixed(1)} tok/s',
        'answer ${finish.decodeRate.toStringAsFixed(1)} tok/s',
        if (finish.reason != HappyFinishReason.end) finish.reason.name,
      ],
    ];
    return Padding(
      padding: const EdgeInsets.symmetric(horizontal: 12, vertical: 4),
      child: Text(parts.join(' · '), style: Theme.of(context).textTheme.bodySmall),
    );
  }
}
