"""The API's reference: a page that needs no internet, drawn from the OpenAPI document."""
