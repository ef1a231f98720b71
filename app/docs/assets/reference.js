"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

// Swagger UI fills a form's fields with made-up values ("string", 0), which would then be sent.
const emptyForms = () => ({
  afterLoad() {
    const sample = this.fn.getSampleSchema;
    this.fn.getSampleSchema = (schema, mediaType, ...rest) => {
      // Only for a form's field there is no media type.
      const own = schema?.toJS?.() ?? schema ?? {};
      const madeUp = mediaType === false && !("default" in own || "examples" in own);
      return madeUp ? "" : sample(schema, mediaType, ...rest);
    };
  },
});

const ui = SwaggerUIBundle({
  dom_id: "#reference",
  url: "/openapi.json",
  // The badge would ask a validator on the internet.
  validatorUrl: "none",
  // Operations can be linked to and are ready to be tried: no click before the first field.
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  // The shapes of requests and answers stand at each operation.
  defaultModelsExpandDepth: -1,
  plugins: [emptyForms],
});

// Swagger UI opens every link of a description in a new tab; those to operations stay here.
document.addEventListener("click", (event) => {
  const hash = event.target.closest("a[target=_blank]")?.getAttribute("href") ?? "";
  if (hash.startsWith("#/")) {
    event.preventDefault();
    history.pushState(null, "", hash);
    ui.layoutActions.parseDeepLinkHash(hash);
  }
});
