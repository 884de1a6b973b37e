import { testStore } from "../test/store.contract.ts";
import { MemoryStore } from "./memory-store.ts";

testStore("memory store", () => Promise.resolve(new MemoryStore()));
