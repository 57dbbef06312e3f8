/** What an app's screen shows of a chat, without a word of Android: a ViewModel's insides. */
package dev.happyllm.sample

import dev.happyllm.HappyEvent
import dev.happyllm.HappyException
import dev.happyllm.HappyGenerateOptions
import dev.happyllm.HappyModel
import dev.happyllm.HappySession
import dev.happyllm.HappySessionOptions
import dev.happyllm.HappyStatus
import dev.happyllm.chatFlow
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch

/** The screen. */
data class ChatState(
    val messages: List<String> = emptyList(),
    /** Why the user cannot write now, or null. */
    val busy: String? = "loading",
    val error: String? = null,
)

/**
 * A chat in [scope], a `viewModelScope` say: when that is cancelled, loading or the turn ends, and everything is freed.
 * [load] gives the model: `loadModel(file.path)`, or one of the app's assets.
 */
class Chat(private val scope: CoroutineScope, private val load: suspend () -> HappyModel) {
    private val state = MutableStateFlow(ChatState())

    @Volatile private var session: HappySession? = null

    val screen: StateFlow<ChatState> get() = state

    /** Loads, and keeps model and session until the scope is cancelled. */
    fun begin() = scope.launch(Dispatchers.IO) {
        attempt {
            load().use { model ->
                val options = HappySessionOptions()
                    .system("You are a helpful assistant.")
                    // A long chat goes on without its oldest turns, and as fast as the phone stays cool.
                    .contextPolicy("drop-oldest")
                    .governor("fastest")
                model.newSession(options).use {
                    session = it
                    state.update { screen -> screen.copy(busy = null) }
                    awaitCancellation()
                }
            }
        }
    }

    fun say(text: String) {
        val session = session ?: return state.update { it.copy(error = "The model is not loaded.") }
        val before = screen.value.messages
        state.update { it.copy(messages = before + text + "", busy = "answering") }
        // A screen need not be drawn for every token.
        val options = HappyGenerateOptions().maxTokens(512).coalesceMillis(50)
        scope.launch {
            // After an error the conversation is as it was before the turn, and so is the screen.
            attempt({ it.copy(messages = before) }) { session.chatFlow(text, options).collect(::show) }
        }
    }

    /** The stop button: what was answered so far stays in the conversation. The turn's last event follows. */
    fun stop() {
        session?.cancel()
    }

    private fun show(event: HappyEvent) = state.update {
        when (event.kind()) {
            HappyEvent.Kind.PREFILL -> it.copy(busy = "reading ${event.done()} of ${event.total()} tokens")
            HappyEvent.Kind.TEXT -> it.copy(messages = it.messages.dropLast(1) + (it.messages.last() + event.text()))
            else -> it
        }
    }

    private suspend fun attempt(undo: (ChatState) -> ChatState = { it }, work: suspend () -> Unit) {
        try {
            work()
            state.update { it.copy(busy = null, error = null) }
        } catch (e: HappyException) {
            val advice = when (e.status()) {
                HappyStatus.MEMORY -> "Close other apps, or choose a smaller model."
                HappyStatus.CONTEXT_FULL -> "The conversation is too long: begin a new one."
                HappyStatus.FILE, HappyStatus.MODEL -> "Fetch the model again."
                else -> ""
            }
            state.update { undo(it).copy(busy = null, error = "${e.message} $advice") }
        }
    }
}
