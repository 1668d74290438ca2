// Shows the document of the server that this page comes from. Nothing is asked of any other host.
SwaggerUIBundle({
  url: "/api-doc/openapi.json",
  dom_id: "#page",
  deepLinking: true, // an operation has an address that can be shared
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0, // the list of schemas is there, and closed
  validatorUrl: null, // else a document is sent to a public validator for its badge
});
