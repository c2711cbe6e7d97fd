// swift-tools-version:5.7
import PackageDescription

let package = Package(
    name: "judge",
    platforms: [.macOS(.v12)],
    targets: [.executableTarget(name: "judge", path: ".", sources: ["main.swift"])]
)
