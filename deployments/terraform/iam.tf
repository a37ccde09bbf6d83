# The role of the gateway: one service account may have it, and it may call Bedrock.

locals {
  models = length(var.model_arns) > 0 ? var.model_arns : ["arn:${local.partition}:bedrock:*::foundation-model/*"]
  profiles = length(var.inference_profile_arns) > 0 ? var.inference_profile_arns : [
    "arn:${local.partition}:bedrock:${var.region}:${local.account}:inference-profile/*",
    "arn:${local.partition}:bedrock:${var.region}:${local.account}:application-inference-profile/*",
  ]
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "ServiceAccount"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.provider_arn]
    }

    # Without `sub` every service account of the cluster could have it, and without `aud` a token for somebody else.
    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = ["system:serviceaccount:${var.namespace}:${var.service_account}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "bedrock" {
  statement {
    sid       = "Invoke"
    actions   = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    resources = concat(local.models, local.profiles)
  }

  statement {
    sid       = "List"
    actions   = ["bedrock:ListFoundationModels"]
    resources = ["*"] # it has no resource
  }

  statement {
    sid       = "Describe"
    actions   = ["bedrock:GetFoundationModel"]
    resources = local.models
  }

  dynamic "statement" {
    for_each = length(var.secret_arns) > 0 ? [1] : []

    content {
      sid       = "Secrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = var.secret_arns
    }
  }

  dynamic "statement" {
    for_each = length(var.secret_kms_key_arns) > 0 ? [1] : []

    content {
      sid       = "KeysOfSecrets"
      actions   = ["kms:Decrypt"]
      resources = var.secret_kms_key_arns

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${var.region}.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.additional_statements

    content {
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = var.role_name
  description          = "LLM Proxy Auth, service account ${var.namespace}/${var.service_account} of ${var.cluster_name}"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 3600
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_policy" "this" {
  name        = var.role_name
  description = "What LLM Proxy Auth may do at AWS"
  policy      = data.aws_iam_policy_document.bedrock.json
}

resource "aws_iam_role_policy_attachment" "this" {
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.this.arn
}
