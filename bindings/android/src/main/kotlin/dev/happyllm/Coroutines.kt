/** Loading, chatting and embedding from coroutines, on top of the Java interface. */
package dev.happyllm

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.channels.trySendBlocking
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.launch

/**
 * Loads the model of a file, off the caller's thread. Cancelling the coroutine ends loading. The options' cancel token is
 * replaced.
 *
 * @throws HappyException as [HappyModel.open]
 */
public suspend fun loadModel(
    path: String,
    options: HappyLoadOptions = HappyLoadOptions(),
): HappyModel = load(options) { HappyModel.open(path, options) }

/**
 * Loads the model that is in a part of an open file, as an `AssetFileDescriptor` gives it: see [HappyModel.openFd] and
 * [loadModel].
 */
public suspend fun loadModel(
    fd: Int,
    offset: Long,
    length: Long,
    options: HappyLoadOptions = HappyLoadOptions(),
): HappyModel = load(options) { HappyModel.openFd(fd, offset, length, options) }

private suspend fun load(options: HappyLoadOptions, open: () -> HappyModel): HappyModel {
    var opened: HappyModel? = null
    val cancel = HappyCancel()
    options.cancel(cancel)
    try {
        // The scope ends when the work has ended, also if it is cancelled: then nobody writes `opened` any more.
        coroutineScope {
            val work = launch(Dispatchers.IO) { opened = open() }
            try {
                work.join()
            } catch (e: CancellationException) {
                cancel.raise()
                throw e
            }
        }
        return checkNotNull(opened)
    } catch (e: Throwable) {
        // A model that nobody would get: loading was done when the cancellation came.
        opened?.close()
        // That loading was cancelled is not a failure of a coroutine that was.
        currentCoroutineContext().ensureActive()
        throw e
    } finally {
        options.cancel(null)
        cancel.close()
    }
}

/**
 * A turn as a flow: each collection adds [text] as the user's message and answers it, see [HappySession.chat]. The last event
 * is the one that [HappyEvent.isDone]; failures are [HappyException]s in the collector. Cancelling the collector cancels the
 * turn, and the collection ends when the session can be used again. A slow collector holds the model up, and loses nothing.
 */
public fun HappySession.chatFlow(
    text: String?,
    options: HappyGenerateOptions = HappyGenerateOptions(),
): Flow<HappyEvent> = callbackFlow {
    val session = this@chatFlow
    launch(Dispatchers.IO) {
        session.chat(text, options) { event -> trySendBlocking(event).isSuccess }
        close()
    }
    // Does nothing when the turn has ended. Where it has not begun yet, its first event finds the channel closed.
    awaitClose { session.cancel() }
}

/**
 * The vectors of [texts], off the caller's thread: see [HappyEmbedder.embed]. Cancelling the coroutine ends the call at once.
 *
 * @throws HappyException as [HappyEmbedder.embed]
 */
public suspend fun HappyEmbedder.embedding(texts: List<String>): List<HappyEmbedding> =
    cancellable { cancel -> embed(texts, cancel) }

/**
 * [documents] by how well they match [query], best first, off the caller's thread: see [HappyEmbedder.rank]. Cancelling the
 * coroutine ends the call at once.
 *
 * @throws HappyException as [HappyEmbedder.rank]
 */
public suspend fun HappyEmbedder.ranking(query: String, documents: List<String>): List<HappyRank> =
    cancellable { cancel -> rank(query, documents, cancel) }

/**
 * Goes on with a saved conversation, off the caller's thread: [HappySession.restore], or, if the file was computed with something
 * else, [HappySession.replay]. Cancelling the coroutine ends computing at once.
 *
 * @throws HappyException the conversation is then as it was
 */
public suspend fun HappySession.resume(path: String) {
    cancellable { cancel ->
        try {
            restore(path)
        } catch (e: HappyException) {
            if (e.status() != HappyStatus.REPLAY) throw e
            replay(path, cancel)
        }
    }
}

/** What a blocking call gives that a cancel token ends. */
private suspend fun <T : Any> cancellable(call: (HappyCancel) -> T): T {
    var found: T? = null
    HappyCancel().use { cancel ->
        try {
            // The scope ends when the work has ended, also if it is cancelled: then nobody uses `cancel` any more.
            coroutineScope {
                val work = launch(Dispatchers.IO) { found = call(cancel) }
                try {
                    work.join()
                } catch (e: CancellationException) {
                    cancel.raise()
                    throw e
                }
            }
        } catch (e: HappyException) {
            // That the call was cancelled is not a failure of a coroutine that was.
            currentCoroutineContext().ensureActive()
            throw e
        }
    }
    return checkNotNull(found)
}
