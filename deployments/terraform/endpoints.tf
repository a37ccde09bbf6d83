# A way to AWS that never leaves the network: docs/PRIVATE-VPC.md.

locals {
  endpoint_services = var.vpc_id == null ? toset([]) : var.endpoint_services
  pods              = data.aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

resource "aws_security_group" "endpoints" {
  count       = var.vpc_id == null ? 0 : 1
  name        = "${var.role_name}-endpoints"
  description = "HTTPS from the pods of ${var.cluster_name} to endpoints of AWS"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  count                        = var.vpc_id == null ? 0 : 1
  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "HTTPS from the pods"
  referenced_security_group_id = local.pods
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

# Bedrock: for the gateway's role alone, so that nobody reaches a model past it.
data "aws_iam_policy_document" "bedrock_endpoint" {
  statement {
    actions = [
      "bedrock:InvokeModel",
      "bedrock:InvokeModelWithResponseStream",
      "bedrock:ListFoundationModels",
      "bedrock:GetFoundationModel",
    ]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = [aws_iam_role.this.arn]
    }
  }
}

# The others are everybody's in this network, whose pods have roles and secrets too: of this account, and those that are named.
data "aws_iam_policy_document" "account_endpoint" {
  for_each = { sts = "sts:*", secretsmanager = "secretsmanager:*", logs = "logs:*" }

  statement {
    actions   = [each.value]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    # IfExists: GetCallerIdentity and its like have no resource.
    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:ResourceAccount"
      values   = concat([local.account], var.other_accounts)
    }
  }
}

resource "aws_vpc_endpoint" "this" {
  for_each            = local.endpoint_services
  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.endpoints[0].id]
  private_dns_enabled = var.private_dns

  policy = startswith(each.key, "bedrock") ? data.aws_iam_policy_document.bedrock_endpoint.json : data.aws_iam_policy_document.account_endpoint[each.key].json

  tags = { Name = "${var.role_name}-${each.key}" }
}
