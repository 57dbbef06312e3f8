/// Where a model comes from: a file of the device, one that was downloaded before, or the network.
library;

import 'dart:async';
import 'dart:io';

import 'package:file_picker/file_picker.dart';
import 'package:flutter/material.dart';
import 'package:path_provider/path_provider.dart';

import 'download.dart';
import 'sizes.dart';

/// Asks for a model. Its result is the path of a file, or null.
class ModelSheet extends StatefulWidget {
  const ModelSheet({super.key});

  /// Shows the sheet.
  static Future<String?> show(BuildContext context) {
    return showModalBottomSheet<String>(
      context: context,
      isScrollControlled: true,
      showDragHandle: true,
      builder: (context) => const ModelSheet(),
    );
  }

  @override
  State<ModelSheet> createState() => _ModelSheetState();
}

class _ModelSheetState extends State<ModelSheet> {
  final TextEditingController _url = TextEditingController();
  List<File> _here = const [];
  Download? _download;
  String? _status;
  String? _digest;
  double? _fraction;

  @override
  void initState() {
    super.initState();
    unawaited(_list());
  }

  @override
  void dispose() {
    _download?.cancel();
    _url.dispose();
    super.dispose();
  }

  static Future<Directory> _folder() async {
    final support = await getApplicationSupportDirectory();
    return Directory('${support.path}/models').create(recursive: true);
  }

  Future<void> _list() async {
    final folder = await _folder();
    final files = await folder.list().where((entry) => entry is File && entry.path.endsWith('.gguf')).toList();
    if (mounted) setState(() => _here = files.cast<File>());
  }

  Future<void> _pick() async {
    // GGUF has no type that Android knows: every file is offered.
    final picked = await FilePicker.platform.pickFiles();
    final path = picked?.files.single.path;
    if (path != null && mounted) Navigator.pop(context, path);
  }

  Future<void> _fetch() async {
    final url = Uri.tryParse(_url.text.trim());
    if (url == null || !url.isScheme('https') || url.pathSegments.isEmpty || !url.path.endsWith('.gguf')) {
      setState(() => _status = 'this needs an address like https://…/model.gguf');
      return;
    }
    final folder = await _folder();
    final target = File('${folder.path}/${url.pathSegments.last.replaceAll('/', '_')}');
    if (!mounted) return;
    final download = Download(url, target);
    setState(() {
      _download = download;
      _digest = null;
      _status = 'connecting';
    });
    try {
      final digest = await download.run((received, total) {
        if (!mounted) return;
        setState(() {
          _fraction = total == null || total == 0 ? null : received / total;
          _status = total == null ? sized(received) : '${sized(received)} of ${sized(total)}';
        });
      });
      if (mounted) setState(() => _digest = digest);
      if (mounted) setState(() => _status = '${target.uri.pathSegments.last} is here');
      await _list();
    } on DownloadCancelled {
      if (mounted) setState(() => _status = 'stopped; it goes on from here next time');
    } on IOException catch (failure) {
      if (mounted) setState(() => _status = '$failure');
    } finally {
      if (mounted) {
        setState(() {
          _download = null;
          _fraction = null;
        });
      }
    }
  }

  @override
  Widget build(BuildContext context) {
    final status = _status;
    final digest = _digest;
    final isLoading = _download != null;
    return SafeArea(
      child: Padding(
        padding: EdgeInsets.fromLTRB(16, 0, 16, 16 + MediaQuery.viewInsetsOf(context).bottom),
        child: SingleChildScrollView(
          child: Column(
            mainAxisSize: MainAxisSize.min,
            crossAxisAlignment: CrossAxisAlignment.stretch,
            children: [
              FilledButton.icon(
                onPressed: isLoading ? null : _pick,
                icon: const Icon(Icons.folder_open),
                label: const Text('Open a GGUF file'),
              ),
              for (final file in _here)
                ListTile(
                  leading: const Icon(Icons.memory),
                  title: Text(file.uri.pathSegments.last),
                  enabled: !isLoading,
                  onTap: () => Navigator.pop(context, file.path),
                ),
              const Divider(height: 32),
              TextField(
                controller: _url,
                enabled: !isLoading,
                keyboardType: TextInputType.url,
                decoration: const InputDecoration(
                  labelText: 'Download',
                  hintText: 'https://…/model.gguf',
                  border: OutlineInputBorder(),
                ),
                onSubmitted: (_) => unawaited(_fetch()),
              ),
              const SizedBox(height: 8),
              if (isLoading) LinearProgressIndicator(value: _fraction),
              if (status != null) Text(status),
              if (digest != null) SelectableText('SHA-256 $digest', style: Theme.of(context).textTheme.bodySmall),
              const SizedBox(height: 8),
              OutlinedButton.icon(
                onPressed: isLoading ? _download?.cancel : () => unawaited(_fetch()),
                icon: Icon(isLoading ? Icons.stop : Icons.download),
                label: Text(isLoading ? 'Stop' : 'Download'),
              ),
            ],
          ),
        ),
      ),
    );
  }
}
