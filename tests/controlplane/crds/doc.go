// Package crds holds what CustomResourceDefinitions are generated from whose YAML no module has.
package crds

import _ "github.com/fluxcd/helm-controller/api/v2"
