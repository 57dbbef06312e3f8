// libhappy for Android: the Java and Kotlin layers of this folder, and the libraries that `cargo xtask dist --android` made.

plugins {
    id("com.android.library") version "8.7.3"
    id("org.jetbrains.kotlin.android") version "2.1.0"
}

android {
    namespace = "dev.happyllm"
    compileSdk = 35

    defaultConfig {
        minSdk = 26
        consumerProguardFiles("consumer-rules.pro")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }

    kotlinOptions {
        jvmTarget = "1.8"
        allWarningsAsErrors = true
    }

    sourceSets["main"].jniLibs.srcDir("../../target/dist/android/jniLibs")
}

dependencies {
    // For `chatFlow` and `loadModel`, whose types are its own; the Java layer needs nothing.
    api("org.jetbrains.kotlinx:kotlinx-coroutines-core:1.9.0")
}

// An archive without the libraries would fail on the phone only.
tasks.named("preBuild") {
    val library = file("../../target/dist/android/jniLibs/arm64-v8a/libhappy.so")
    doFirst {
        require(library.isFile) { "no $library: run `cargo xtask dist --android` first" }
    }
}
