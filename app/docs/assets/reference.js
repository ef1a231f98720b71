"use strict";

const DOCUMENT = "/openapi.json";
const ONLY_WITH = "x-only-with";

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

// Query parameters that belong to one form of the body are shown, and sent, with that form only.
const parametersOfForms = () => ({
  wrapComponents: {
    parameters: (Parameters, { React, oas3Selectors }) => (props) => {
      const form = oas3Selectors.requestContentType(...props.pathMethod);
      const fits = (parameter) => [undefined, form].includes(parameter.get(ONLY_WITH));
      return React.createElement(Parameters, {
        ...props,
        parameters: props.parameters.filter(fits),
      });
    },
  },
  statePlugins: {
    oas3: {
      wrapActions: {
        setRequestContentType: (set, { oas3Actions, specActions, specSelectors }) => (choice) => {
          const { pathMethod, value } = choice;
          for (const parameter of parametersOf(specSelectors, pathMethod)) {
            if (![undefined, value].includes(parameter.get(ONLY_WITH))) {
              specActions.changeParamByIdentity(pathMethod, parameter, undefined);
            }
          }
          // Swagger UI looks for the example of the form before, and makes one up.
          const content = ["paths", ...pathMethod, "requestBody", "content", value, "examples"];
          const name = specSelectors.specJson().getIn(content)?.keySeq().first();
          const body = { contextType: "requestBody", contextName: "requestBody" };
          oas3Actions.setActiveExamplesMember({ name, pathMethod, ...body });
          return set(choice);
        },
      },
    },
  },
});
const parametersOf = (specSelectors, pathMethod) =>
  specSelectors.specJson().getIn(["paths", ...pathMethod, "parameters"]) ?? [];

// What was made last is what the operations on one of its kind ask for next. The examples' ids
// are those of another system.
const MADE = { "/executions": "execution", "/tenants": "tenant", "/keys": "key" };
const fillInMade = ({ specActions, specSelectors }, response) => {
  const { pathname } = new URL(response.url);
  const kind = Object.keys(MADE).find((path) => pathname.endsWith(path));
  if (!kind || !response.ok || !response.body?.id) {
    return;
  }
  const paths = specSelectors.specJson().get("paths");
  for (const [path, methods] of paths) {
    for (const method of methods.keys()) {
      for (const parameter of parametersOf(specSelectors, [path, method])) {
        const isMade = parameter.get("in") === "path" && parameter.get("name") === MADE[kind];
        const isWait = path === "/executions/{execution}" && parameter.get("name") === "wait";
        if (isMade || (isWait && kind === "/executions")) {
          const value = isMade ? response.body.id : 10;
          specActions.changeParamByIdentity([path, method], parameter, value);
        }
      }
    }
  }
};

const withoutExamplesThatMislead = (response) => {
  const api = JSON.parse(response.text);
  // A HEAD is its GET once more, without a body.
  Object.values(api.paths).forEach((path) => delete path.head);
  const operations = Object.values(api.paths).flatMap(Object.values);
  for (const parameter of operations.flatMap(({ parameters = [] }) => parameters)) {
    if (!parameter.required || Object.values(MADE).includes(parameter.name)) {
      delete parameter.examples;
    }
  }
  response.text = JSON.stringify(api);
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
  // Its colours are those that can be read on both backgrounds.
  syntaxHighlight: { theme: "monokai" },
  plugins: [emptyFields, parametersOfForms],
  responseInterceptor: (response) => {
    if (response.url.endsWith(DOCUMENT)) {
      withoutExamplesThatMislead(response);
    } else {
      fillInMade(ui.getSystem(), response);
    }
    return response;
  },
});

// Swagger UI opens every link of a description in a new tab, and scrolls to an operation only
// where the page begins with it. Here links to operations stay in the page and lead there.
const follow = (hash) => {
  const [, tag, operation] = hash.slice(1).split("/");
  // Showing puts an address into the browser's history, so that only what is hidden is shown.
  const { layoutActions, layoutSelectors } = ui.getSystem();
  if (!layoutSelectors.isShown(["operations-tag", tag], true)) {
    layoutActions.show(["operations-tag", tag], true);
  }
  if (!layoutSelectors.isShown(["operations", tag, operation], false)) {
    layoutActions.show(["operations", tag, operation], true);
  }
  requestAnimationFrame(() => {
    document.getElementById(`operations-${tag}-${operation}`)?.scrollIntoView();
  });
};
history.scrollRestoration = "manual";
document.addEventListener("click", (event) => {
  const hash = event.target.closest("a[target=_blank]")?.getAttribute("href") ?? "";
  if (hash.startsWith("#/")) {
    event.preventDefault();
    follow(hash);
    if (location.hash !== hash) {
      history.pushState(null, "", hash);
    }
  }
});
addEventListener("popstate", () => location.hash.startsWith("#/") && follow(location.hash));
