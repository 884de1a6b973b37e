// Exit status 0 when the server is ready to answer. Used by the image's HEALTHCHECK: the image has no curl.
const port = process.env.ATPATCH_PORT ?? "8080";
try {
  const answer = await fetch(`http://127.0.0.1:${port}/v2/health/ready`, {
    signal: AbortSignal.timeout(2500),
  });
  process.exitCode = answer.ok ? 0 : 1;
} catch {
  process.exitCode = 1;
}
