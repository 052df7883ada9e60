from loading_fixtures import _scope, manifest, packed

__all__ = ["_scope", "manifest", "packed"]
