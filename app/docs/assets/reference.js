"use strict";

const DOCUMENT = "/openapi.json";

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

// Swagger UI fills forms with made-up values ("string", 0), sends what is empty as an empty text,
// and fills parameters with their first example. Here what is optional starts empty and is not sent.
const emptyFields = () => ({
  components: { ParameterIncludeEmpty: () => null },
  afterLoad() {
    const sample = this.fn.getSampleSchema;
    // Only for the field of a form there is no media type.
    this.fn.getSampleSchema = (schema, mediaType, ...rest) =>
      mediaType === false ? "" : sample(schema, mediaType, ...rest);
  },
});
const withoutOptionalExamples = (response) => {
  if (response.url.endsWith(DOCUMENT)) {
    const api = JSON.parse(response.text);
    // A HEAD is its GET once more, without a body.
    Object.values(api.paths).forEach((path) => delete path.head);
    const operations = Object.values(api.paths).flatMap(Object.values);
    for (const parameter of operations.flatMap(({ parameters = [] }) => parameters)) {
      if (!parameter.required) {
        delete parameter.examples;
      }
    }
    response.text = JSON.stringify(api);
  }
  return response;
};

const ui = SwaggerUIBundle({
  dom_id: "#reference",
  url: DOCUMENT,
  // The badge would ask a validator on the internet.
  validatorUrl: "none",
  // Operations can be linked to and are ready to be tried: no click before the first field.
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  // The shapes of requests and answers stand at each operation.
  defaultModelsExpandDepth: -1,
  plugins: [emptyFields],
  responseInterceptor: withoutOptionalExamples,
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
