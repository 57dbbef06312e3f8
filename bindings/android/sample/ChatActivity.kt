/** The smallest screen for [Chat]: a plain Activity, no library but coroutines. */
package dev.happyllm.sample

import android.app.Activity
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import dev.happyllm.HappyLoadOptions
import dev.happyllm.HappyModel
import dev.happyllm.loadModel
import java.io.File
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.MainScope
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch

class ChatActivity : Activity() {
    private lateinit var scope: CoroutineScope
    private lateinit var chat: Chat

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        // An app keeps both in a ViewModel, so that turning the phone does not load the model again.
        scope = MainScope()
        chat = Chat(scope) { open() }
        val said = TextView(this)
        val input = EditText(this)
        val send = Button(this).apply { text = "Send" }
        val stop = Button(this).apply { text = "Stop" }
        send.setOnClickListener {
            chat.say(input.text.toString())
            input.setText("")
        }
        stop.setOnClickListener { chat.stop() }
        val column = LinearLayout(this).apply { orientation = LinearLayout.VERTICAL }
        listOf<View>(said, input, send, stop).forEach(column::addView)
        setContentView(ScrollView(this).apply { addView(column) })
        scope.launch {
            chat.screen.collect { state ->
                said.text = (state.messages + listOfNotNull(state.busy, state.error)).joinToString("\n\n")
                send.isEnabled = state.busy == null
            }
        }
        chat.begin()
    }

    /**
     * A model that was downloaded, or else the one in the APK. Mapped where it lies, never copied: an asset must be stored
     * without compression (`androidResources { noCompress += "gguf" }`).
     */
    private suspend fun open(): HappyModel {
        val options = HappyLoadOptions().context(2048)
        val downloaded = File(filesDir, "model.gguf")
        if (downloaded.exists()) {
            return loadModel(downloaded.path, options)
        }
        return assets.openFd("model.gguf").use {
            loadModel(it.parcelFileDescriptor.fd, it.startOffset, it.declaredLength, options)
        }
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }
}
