/** The API description, made from the routes' own schemas, and the page that shows it. */
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import { errorSchema } from "./schemas/common.ts";
import type { App } from "./services.ts";

/** Everything comes from this server; the page styles a few elements in place. */
const contentSecurity =
  "default-src 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'";

export async function installOpenApi(app: App, version: string): Promise<void> {
  app.addSchema(errorSchema);
  await app.register(swagger, {
    refResolver: { buildLocalReference: (schema) => schema.$id as string },
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "AtPatch",
        description:
          "Hot-fix proxy for deployed transformer models: detects and repairs anomalous attention columns while the model serves.",
        version,
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
      tags: [
        { name: "predict", description: "Samples in, labels out." },
        { name: "open inference protocol", description: "Raw tensors in, raw tensors out." },
        { name: "admin", description: "Detectors and policy; needs a bearer token." },
        { name: "metrics", description: "For Prometheus." },
      ],
    },
  });
  await app.register(swaggerUi, {
    routePrefix: "/docs",
    staticCSP: contentSecurity,
    uiConfig: { layout: "BaseLayout", docExpansion: "list", deepLinking: true, validatorUrl: null },
    theme: { title: "AtPatch API" },
  });
}
