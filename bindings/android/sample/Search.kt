/** Notes that are found by what they mean: an embedding model, without a word of Android. */
package dev.happyllm.sample

import dev.happyllm.HappyEmbedder
import dev.happyllm.HappyEmbedding
import dev.happyllm.HappyModel
import dev.happyllm.embedding

/**
 * Notes with their vectors. [model] is loaded with `HappyLoadOptions().embeddings(true)`. One call at a time; close it to free memory
 * and threads.
 */
class Search(model: HappyModel) : AutoCloseable {
    private val embedder: HappyEmbedder = model.newEmbedder()
    private val notes = mutableListOf<Pair<String, HappyEmbedding>>()

    /** Adds notes. Several at once are computed faster than one after the other, and give the same vectors. */
    suspend fun add(texts: List<String>) {
        notes += texts.zip(embedder.embedding(texts))
    }

    /** The notes that are closest to what is asked, best first. */
    suspend fun find(question: String, most: Int): List<String> {
        val asked = embedder.embedding(listOf(question)).single()
        return notes.sortedByDescending { (_, vector) -> vector.cosine(asked) }.take(most).map { (note, _) -> note }
    }

    override fun close() = embedder.close()
}
