"use strict";

const DOCUMENT = "/openapi.json";
const ONLY_WITH = "x-only-with";

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

// Swagger UI fills forms with made-up values ("string", 0), sends empty fields as empty texts, and
// fills parameters with their first example. Here optional fields start empty and are not sent.
const emptyFields = () => ({
  components: { ParameterIncludeEmpty: () => null },
  afterLoad() {
    const sample = this.fn.getSampleSchema;
    // Only the fields of a form have no media type.
    this.fn.getSampleSchema = (schema, mediaType, ...rest) =>
      mediaType === false ? "" : sample(schema, mediaType, ...rest);
  },
});

// Query parameters that belong to one media type of the body are shown and sent with it only.
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
          // Swagger UI looks up the example of the previous media type, and makes one up.
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

// Above 150 rows Swagger UI draws only those in view, which neither links nor searches of the page
// find. Here each tag is drawn by itself.
const allOperations = () => ({
  wrapComponents: {
    operations: (Operations, { React }) => (props) =>
      props.specSelectors
        .taggedOperations()
        .keySeq()
        .map((tag) => {
          const taggedOperations = () =>
            props.specSelectors.taggedOperations().filter((_, each) => each === tag);
          const specSelectors = { ...props.specSelectors, taggedOperations };
          return React.createElement(Operations, { ...props, specSelectors, key: tag });
        })
        .toArray(),
  },
});

const parametersOf = (specSelectors, pathMethod) =>
  specSelectors.specJson().getIn(["paths", ...pathMethod, "parameters"]) ?? [];

// The id of the last created resource fills the parameters of its kind, since the ids in the
// examples are those of another system.
const CREATED = { "/executions": "execution", "/tenants": "tenant", "/keys": "key" };
const fillInCreated = ({ specActions, specSelectors }, response) => {
  const { pathname } = new URL(response.url);
  const kind = Object.keys(CREATED).find((path) => pathname.endsWith(path));
  if (!kind || !response.ok || !response.body?.id) {
    return;
  }
  const paths = specSelectors.specJson().get("paths");
  for (const [path, methods] of paths) {
    for (const method of methods.keys()) {
      for (const parameter of parametersOf(specSelectors, [path, method])) {
        const isCreated = parameter.get("in") === "path" && parameter.get("name") === CREATED[kind];
        const isWait = path === "/executions/{execution}" && parameter.get("name") === "wait";
        if (isCreated || (isWait && kind === "/executions")) {
          const value = isCreated ? response.body.id : 10;
          specActions.changeParamByIdentity([path, method], parameter, value);
        }
      }
    }
  }
};

const removeMisleadingExamples = (response) => {
  const api = JSON.parse(response.text);
  // A HEAD only repeats its GET without a body.
  Object.values(api.paths).forEach((path) => delete path.head);
  const operations = Object.values(api.paths).flatMap(Object.values);
  for (const parameter of operations.flatMap(({ parameters = [] }) => parameters)) {
    if (!parameter.required || Object.values(CREATED).includes(parameter.name)) {
      delete parameter.examples;
    }
  }
  response.text = JSON.stringify(api);
};

const ui = SwaggerUIBundle({
  dom_id: "#reference",
  url: DOCUMENT,
  // The badge would call a validator on the internet.
  validatorUrl: "none",
  // Operations have links and are open for trying, without a click before the first field.
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  // Each operation shows the schemas of its requests and responses.
  defaultModelsExpandDepth: -1,
  // Its colours are readable on both backgrounds.
  syntaxHighlight: { theme: "monokai" },
  plugins: [emptyFields, parametersOfForms, allOperations],
  responseInterceptor: (response) => {
    if (response.url.endsWith(DOCUMENT)) {
      removeMisleadingExamples(response);
    } else {
      fillInCreated(ui.getSystem(), response);
    }
    return response;
  },
});

// Swagger UI opens every link of a description in a new tab, and scrolls to an operation only when
// the page loads. Here links to operations stay in the page and scroll to them.
const follow = (hash) => {
  const [, tag, operation] = hash.slice(1).split("/");
  // Showing an operation adds an entry to the browser's history, so only hidden ones are shown.
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
