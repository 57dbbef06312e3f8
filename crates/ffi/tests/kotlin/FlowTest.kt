/** Drives the Kotlin interface. Arguments: a real model that chats, and a tiny one for embeddings and ranks. */
package dev.happyllm

import dev.happyllm.sample.Search
import kotlin.system.exitProcess
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.filter
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout

private const val QUESTION = "What is the capital of France?"

private fun small() = HappyLoadOptions().context(512).threads(2)

private fun greedy(tokens: Int) =
    HappyGenerateOptions().maxTokens(tokens).sampler(HappySamplerOptions().temperature(0f))

private suspend fun answer(session: HappySession): String =
    session.chatFlow(QUESTION, greedy(24))
        .filter { it.kind() == HappyEvent.Kind.TEXT }
        .map { it.text() }
        .toList()
        .joinToString("")

private suspend fun failure(block: suspend () -> Unit): HappyStatus? =
    try {
        block()
        null
    } catch (e: HappyException) {
        e.status()
    }

fun main(args: Array<String>) {
    val check = Check()
    val path = args[0]
    val model = runBlocking { loadModel(path, small()) }
    check.run("a flow is the answer of the blocking call") {
        runBlocking {
            model.newSession().use { session ->
                val events = session.chatFlow(QUESTION, greedy(24)).toList()
                Check.that(events.last().isDone, "the last event")
                Check.that(events.last().finish().generatedTokens() > 0, events.last().toString())
            }
            val flow = model.newSession().use { answer(it) }
            val blocking = StringBuilder()
            model.newSession().use { session ->
                session.chat(QUESTION, greedy(24)) {
                    if (it.kind() == HappyEvent.Kind.TEXT) blocking.append(it.text())
                    true
                }
            }
            Check.equal(flow, blocking.toString())
        }
    }
    check.run("cancelling the collector cancels the turn") {
        runBlocking {
            model.newSession().use { session ->
                val before = answer(session)
                session.clear()
                val speaks = CompletableDeferred<Unit>()
                val job = launch(Dispatchers.Default) {
                    session.chatFlow(QUESTION, greedy(0).ignoreEnd(true)).collect {
                        if (it.kind() == HappyEvent.Kind.TEXT) speaks.complete(Unit)
                    }
                }
                withTimeout(60_000) {
                    speaks.await()
                    job.cancelAndJoin()
                }
                session.clear()
                // `first` cancels the rest by itself; what began late is cancelled too.
                session.chatFlow(QUESTION, greedy(0).ignoreEnd(true)).first()
                session.clear()
                repeat(5) {
                    val early = launch(Dispatchers.Default) {
                        session.chatFlow(QUESTION, greedy(0).ignoreEnd(true)).collect {}
                    }
                    delay(it.toLong())
                    withTimeout(60_000) { early.cancelAndJoin() }
                    session.clear()
                }
                Check.equal(answer(session), before)
            }
        }
    }
    check.run("a slow collector loses nothing") {
        runBlocking {
            model.newSession().use { session ->
                val fast = session.chatFlow(QUESTION, greedy(200).ignoreEnd(true)).toList().size
                session.clear()
                var slow = 0
                session.chatFlow(QUESTION, greedy(200).ignoreEnd(true)).collect {
                    withContext(Dispatchers.Default) { delay(2) }
                    slow += 1
                }
                Check.equal(slow, fast)
            }
        }
    }
    check.run("failures come out of the flow and of loading") {
        runBlocking {
            model.newSession().use { session ->
                val wrong = greedy(4).grammar("root = x")
                Check.equal(failure { session.chatFlow(QUESTION, wrong).collect {} }, HappyStatus.GRAMMAR)
                Check.equal(session.messages(), "[]")
                session.close()
                val late = failure { session.chatFlow(QUESTION, greedy(4)).collect {} }
                Check.equal(late, HappyStatus.INVALID_HANDLE)
            }
            Check.equal(failure { loadModel("no such file") }, HappyStatus.FILE)
            Check.equal(failure { loadModel(9999, 0, 0) }, HappyStatus.FILE)
        }
    }
    check.run("loading is cancelled with its coroutine") {
        runBlocking {
            val live = Happy.liveHandles()
            repeat(20) {
                val job = launch(Dispatchers.Default) { loadModel(path, small()).close() }
                delay(5L * it)
                withTimeout(60_000) { job.cancelAndJoin() }
            }
            Check.equal(Happy.liveHandles(), live)
        }
    }
    check.run("vectors and ranks come to a coroutine, and end with it") {
        runBlocking {
            val texts = List(400) { "note $it" }
            loadModel(args[1], HappyLoadOptions().context(64).threads(2).embeddings(true)).use { embedding ->
                embedding.newEmbedder().use { embedder ->
                    val blocking = embedder.embed(texts, null)
                    val found = embedder.embedding(texts)
                    Check.equal(found.map { it.values().toList() }, blocking.map { it.values().toList() })
                    val search = Search(embedding)
                    search.use {
                        search.add(texts)
                        Check.equal(search.find("note 77", 3).first(), "note 77")
                    }
                    repeat(20) {
                        val job = launch(Dispatchers.Default) { embedder.embedding(texts) }
                        delay(it.toLong())
                        withTimeout(60_000) { job.cancelAndJoin() }
                        // When the coroutine has ended, the call has: the embedder is free.
                        Check.equal(embedder.embedding(texts.take(1)).size, 1)
                    }
                    Check.equal(failure { embedder.ranking("note", texts) }, HappyStatus.INVALID_ARGUMENT)
                }
                val ranking = HappyEmbedOptions().pooling(HappyEmbedOptions.Pooling.RANK)
                embedding.newEmbedder(ranking).use { embedder ->
                    val ranks = embedder.ranking("note", texts.take(5))
                    Check.equal(ranks.map { it.index() }.sorted(), (0..4).toList())
                    Check.equal(ranks.map { it.score() }, ranks.map { it.score() }.sortedDescending())
                }
            }
        }
    }
    check.run("a conversation is resumed, and computed again by another cache") {
        runBlocking {
            val file = java.io.File.createTempFile("chat", ".happy")
            val said = model.newSession().use { session ->
                Check.equal(failure { session.resume("/nowhere/chat.happy") }, HappyStatus.FILE)
                session.save(file.path)
                answer(session)
                session.messages()
            }
            model.newSession().use { session ->
                session.resume(file.path)
                Check.equal(session.messages(), said)
                session.regenerate()
                val again = session.chatFlow(null, greedy(24)).toList().last().finish()
                Check.equal(again.promptTokens(), 1L)
                session.trim(HappySession.TrimLevel.SEQUENCES)
            }
            loadModel(path, small().kvType(HappyLoadOptions.KvType.F32)).use { other ->
                other.newSession().use { session ->
                    Check.equal(failure { session.restore(file.path) }, HappyStatus.REPLAY)
                    session.resume(file.path)
                    Check.equal(session.messages(), said)
                }
            }
            file.delete()
        }
    }
    model.close()
    check.run("nothing is left") { Check.equal(Happy.liveHandles(), 0L) }
    exitProcess(check.end())
}
