// Shows the document of the server that this page comes from. Nothing is asked of any other host.
SwaggerUIBundle({
  url: "/api-doc/openapi.json",
  dom_id: "#page",
  deepLinking: true, // an operation's address can be sent to somebody
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0, // the list of schemas is there, and closed
  validatorUrl: null, // else a document is sent to a public validator for its badge
});
