/// A chat with a language model that runs on the device.
library;

import 'package:flutter/material.dart';

import 'chat.dart';
import 'chat_page.dart';

void main() => runApp(const HappyChat());

/// The app.
class HappyChat extends StatefulWidget {
  const HappyChat({super.key});

  @override
  State<HappyChat> createState() => _HappyChatState();
}

class _HappyChatState extends State<HappyChat> {
  final Chat _chat = Chat();

  @override
  void dispose() {
    _chat.dispose();
    super.dispose();
  }

  @override
  Widget build(BuildContext context) {
    return MaterialApp(
      title: 'Happy chat',
      theme: ThemeData(colorSchemeSeed: Colors.teal),
      darkTheme: ThemeData(colorSchemeSeed: Colors.teal, brightness: Brightness.dark),
      home: ChatPage(chat: _chat),
    );
  }
}
