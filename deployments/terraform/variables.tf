variable "region" {
  description = "The region of the cluster, its endpoints and Bedrock."
  type        = string
  default     = "us-east-1"
}

variable "cluster_name" {
  description = "The EKS cluster in which the gateway runs."
  type        = string
}

variable "namespace" {
  description = "The namespace of the gateway's service account."
  type        = string
  default     = "bedrock-system"
}

variable "service_account" {
  description = "The service account that may have the role, and no other."
  type        = string
  default     = "bedrock-proxy"
}

variable "role_name" {
  description = "The name of the role."
  type        = string
  default     = "bedrock-proxy"
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the role, where your account asks for one."
  type        = string
  default     = null
}

variable "create_oidc_provider" {
  description = "Make the cluster's issuer known to IAM. False where it is, which eksctl and most modules have done."
  type        = bool
  default     = false
}

variable "model_arns" {
  description = "Foundation models that may be invoked, as ARNs or patterns. Empty: all of AWS's, in every region that an inference profile leads to."
  type        = list(string)
  default     = []
}

variable "inference_profile_arns" {
  description = "Inference profiles that may be invoked. Empty: all of this account in this region."
  type        = list(string)
  default     = []
}

variable "additional_statements" {
  description = "What the role may do besides, as for endpoints of bedrock-mantle or roles of other accounts."
  type = list(object({
    actions   = list(string)
    resources = list(string)
  }))
  default = []
}

variable "secret_arns" {
  description = "Secrets of Secrets Manager that the role may read, for strategies of the type vault."
  type        = list(string)
  default     = []
}

variable "secret_kms_key_arns" {
  description = "Keys of KMS that these secrets are encrypted with, where they are not AWS's own."
  type        = list(string)
  default     = []
}

variable "vpc_id" {
  description = "The VPC of the cluster, for its endpoints. Null: no endpoint is made."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Private subnets, one for each zone, in which the endpoints get their addresses."
  type        = list(string)
  default     = []
}

variable "endpoint_services" {
  description = "Services with an endpoint of their own. Add logs where a collector sends there."
  type        = set(string)
  default     = ["bedrock-runtime", "bedrock", "sts", "secretsmanager"]

  validation {
    condition     = length(setsubtract(var.endpoint_services, ["bedrock-runtime", "bedrock", "sts", "secretsmanager", "logs"])) == 0
    error_message = "Known are bedrock-runtime, bedrock, sts, secretsmanager and logs."
  }
}

variable "private_dns" {
  description = "AWS's own names lead to the endpoints. False where the VPC has such names already: then base_url names the endpoint (output gateway_instance)."
  type        = bool
  default     = true
}

variable "other_accounts" {
  description = "Accounts beside this one, by number, whose roles and secrets pods of this network use by its endpoints."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything that is made here."
  type        = map(string)
  default     = { "app.kubernetes.io/part-of" = "bedrock-proxy" }
}
